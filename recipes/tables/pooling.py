"""One vector for a text: what has become of its first token, or the mean of all; learned from scratch, or pretrained.

Run     finetune table pooling
Expect  a quarter of an hour on a core of an Intel Xeon: 6 runs of 2 to 3 minutes, 6 of half a minute; and
        four minutes for controls

Of encoders from scratch, which learn to bring everything to the first token, and of MiniLM frozen, which was trained to
be read by the mean. Reuters R8, all rows. Nothing published stands beside.
"""

from dataclasses import replace

from finetune import Benchmark, BenchmarkTable, Runs


def runs(recipe: str, method: str, field: str) -> Runs:
    varied = tuple(f"{field}={pooling}" for pooling in ("cls", "mean"))
    return Runs(recipes=(recipe,), methods=(method,), seeds=3, varied=(varied,))


learned, pretrained = (
    runs("encoder_r8", "scratch", "checkpoint.system.pooling"),
    runs("bert_r8", "frozen", "method.pooling"),
)
table = BenchmarkTable(
    benchmarks=(
        Benchmark(
            data="R8",
            runs=(
                learned,
                pretrained,
                replace(pretrained, methods=("majority", "surface"), varied=()),
                *pretrained.controls(),
                replace(learned, varied=(), control="shuffled"),
            ),
        ),
    ),
)
