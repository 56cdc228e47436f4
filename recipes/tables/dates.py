"""Dates as they are written in Spanish and in Korean, to ISO: a Transformer from scratch, character by character.

Run     finetune table dates
Expect  TODO

Nothing published stands beside: nobody else has these rows.
"""

from finetune import Benchmark, BenchmarkTable, Runs


def runs(locale: str) -> Runs:
    """The tokenizer learns from the rows that are trained on."""
    settings = (f"data.locale={locale}", f"checkpoint.texts.locale={locale}")
    return Runs(recipes=("dates",), methods=("scratch",), seeds=3, settings=settings)


table = BenchmarkTable(benchmarks=(Benchmark(data="dates", runs=(runs("es"), runs("ko"))),))
