"""A number read as a value: an encoder from scratch that reads the first token, or the mean of all.

Run     finetune table magnitudes
Expect  five minutes on a core of an Intel Xeon with AMX, beside other work: 6 runs of 35 to 47 s; and a
        minute for controls

How many powers of ten is forty-two thousand? Regression, of which a record keeps the mean absolute error as well as
Pearson's correlation. Nothing published stands beside: nobody else has these rows.
"""

from dataclasses import replace

from finetune import Benchmark, BenchmarkTable, Runs

runs = Runs(
    recipes=("magnitudes_scratch",),
    methods=("scratch",),
    seeds=3,
    varied=(tuple(f"checkpoint.system.pooling={pooling}" for pooling in ("cls", "mean")),),
)
bare = replace(runs, methods=("majority", "surface"), varied=())
dealt = replace(runs, varied=(), control="shuffled")
table = BenchmarkTable(benchmarks=(Benchmark(data="numbers in words", runs=(runs, bare, dealt)),))
