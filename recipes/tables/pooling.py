"""One vector for a text: what has become of its first token, or the mean of all; learned from scratch, or pretrained.

Run     finetune table pooling
Expect  a quarter of an hour on two cores

Of encoders from scratch, which learn to bring everything to the first token, and of MiniLM frozen, which was trained to
be read by the mean. Reuters R8, all rows. Nothing published stands beside.
"""

from finetune import Benchmark, BenchmarkTable, Runs

table = BenchmarkTable(
    benchmarks=(
        Benchmark(
            data="R8",
            runs=(
                *(
                    Runs(
                        recipes=("encoder_r8",),
                        methods=("scratch",),
                        seeds=3,
                        settings=(f"checkpoint.system.pooling={pooling}",),
                    )
                    for pooling in ("cls", "mean")
                ),
                *(
                    Runs(recipes=("bert_r8",), methods=("frozen",), seeds=3, settings=(f"method.pooling={pooling}",))
                    for pooling in ("cls", "mean")
                ),
            ),
        ),
    ),
)
