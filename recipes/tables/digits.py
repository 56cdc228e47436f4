"""Handwritten digits: DINOv2-small on 5000 of MNIST, of which 1000 are the test.

Run     finetune table digits
Expect  an hour and a half on a core of an Intel Xeon with AMX, beside other work; the records are in
        outputs/tables/digits.json

Nothing published stands beside: others test on MNIST's own ten thousand.
"""

from finetune import SWEPT, Benchmark, BenchmarkTable, Runs

runs = Runs(recipes=("vit_mnist",), methods=("majority", "surface", "frozen", "lora", "full"), seeds=3)
RANDOM, DEALT = runs.controls("full")
table = BenchmarkTable(
    benchmarks=(
        Benchmark(
            data="MNIST (5000)",
            runs=(*runs.each(frozen=SWEPT), *RANDOM.each(frozen=SWEPT), DEALT),
            notes=(
                "frozen has whichever layer, pooling and penalty did best on the validation rows, LoRA and full the "
                "one rate of their recipe: the best may be another",
            ),
        ),
    )
)
