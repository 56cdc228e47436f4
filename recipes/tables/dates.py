"""Dates as they are written in Spanish, to ISO: a Transformer from scratch, character by character.

Run     finetune table dates
Expect  six minutes on a core of an Intel Xeon with AMX, beside other work: 3 runs of two minutes

Nothing published stands beside: nobody else has these rows.
"""

from finetune import Benchmark, BenchmarkTable, Runs

table = BenchmarkTable(
    benchmarks=(Benchmark(data="dates", runs=(Runs(recipes=("dates",), methods=("scratch",), seeds=3),)),)
)
