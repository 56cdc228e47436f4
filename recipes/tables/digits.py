"""Handwritten digits: DINOv2-small on 5000 of MNIST, of which 1000 are the test.

Run     finetune table digits
Expect  an hour and a half on a core of an Intel Xeon with AMX, beside other work; the records are in
        outputs/tables/digits.json

Nothing published stands beside: others test on MNIST's own ten thousand.
"""

from finetune import Benchmark, BenchmarkTable, Runs

runs = Runs(recipes=("vit_mnist",), methods=("majority", "surface", "frozen", "lora", "full"), seeds=3)
table = BenchmarkTable(
    benchmarks=(
        Benchmark(
            data="MNIST (5000)",
            runs=(runs, *runs.controls("full")),
            notes=(
                "every method has the one setting of its recipe, frozen the mean of the last layer: the best may be "
                "another, which equal trials of each would tell (`finetune compare --trials`)",
            ),
        ),
    )
)
