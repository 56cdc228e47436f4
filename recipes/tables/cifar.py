"""CIFAR-10 and -100: ViT-B/16 frozen, with LoRA and fully tuned, beside published vision transformers. Needs the hub.

Run     finetune table cifar
Expect  hours on a GPU; nobody has run it yet

The published rows stand beside and are not to be reproduced: they are of other weights, or trained otherwise.
"""

from finetune import Benchmark, BenchmarkTable, Published, Runs

METHODS = ("majority", "surface", "frozen", "lora", "full")


def runs(recipe: str) -> tuple[Runs, ...]:
    own = Runs(recipes=(recipe,), methods=METHODS, seeds=3)
    return own, *own.controls("full")


table = BenchmarkTable(
    benchmarks=(
        Benchmark(
            data="CIFAR-10",
            runs=runs("vit_cifar10"),
            published=(
                Published(
                    system="ViT-B/32 (AugReg)",
                    value=0.9855,
                    seeds=5,
                    source="big_vision, five repeats: 98.46 to 98.60 %",
                ),
                Published(system="ViT-B/16", value=0.9859, source="vision_transformer README, after 500 steps"),
            ),
        ),
        Benchmark(
            data="CIFAR-100",
            runs=runs("vit_cifar100"),
            published=(
                Published(
                    system="ViT-B/32 (AugReg)",
                    value=0.9135,
                    seeds=5,
                    source="big_vision, five repeats: 91.09 to 91.62 %",
                ),
            ),
        ),
    )
)
