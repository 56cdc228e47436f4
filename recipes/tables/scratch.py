"""From scratch or pretrained: what reading before is worth, by the number of labels, of texts and of images.

Run     finetune table scratch
        finetune tables scratch --by labels --figure outputs/figures/scratch.png   (what `--save` wrote)
Expect  three hours on a core and an hour and a half for controls, beside other work; what `labels` has of R8 is not
        made again

The same labels for a small encoder and a small ViT that begin with nothing, and for MiniLM and DINOv2. What begins
with nothing is passed over its rows until there were four hundred updates, what does not a hundred. The encoder's word
pieces are those of all training texts, whose labels it does not see.
"""

from finetune import Benchmark, BenchmarkTable, Runs

LABELS = tuple(f"split.per_class={labels}" for labels in (8, 64, "none"))


def runs(recipe: str, *methods: str, updates: int) -> Runs:
    return Runs(
        recipes=(recipe,), methods=methods, seeds=3, settings=(f"budget.least_updates={updates}",), varied=(LABELS,)
    )


def pretrained(recipe: str) -> tuple[Runs, ...]:
    every = runs(recipe, "majority", "surface", "frozen", "lora", "full", updates=100)
    return every, *every.controls("full")


table = BenchmarkTable(
    by="labels",
    benchmarks=(
        Benchmark(data="R8", runs=(runs("encoder_r8", "scratch", updates=400), *pretrained("bert_r8"))),
        Benchmark(data="MNIST (5000)", runs=(runs("vit_scratch", "scratch", updates=400), *pretrained("vit_mnist"))),
    ),
)
