"""A small ViT from scratch on 5000 MNIST digits, each of which is shifted anew in every epoch.

Run     finetune run vit_scratch
        accelerate launch recipes/vit_scratch.py
Expect  accuracy 96.9 % [95.8, 97.7], about five minutes (n = 1000, three seeds, a core of an Intel Xeon with AMX,
        beside other work; records in outputs/tables/scratch.json)

Fifty epochs were chosen by the validation rows.

`--set augmentation=none` trains on the digits as they are.
"""

from finetune import AdamW, Blank, Budget, Classification, Recipe, Scratch, ViT
from finetune.augmentations.shift import Shift
from finetune.data.mnist_5k import Mnist5k

recipe = Recipe(
    name="vit_scratch",
    checkpoint=Blank(system=ViT(patch_size=7)),
    data=Mnist5k(),
    task=Classification(),
    method=Scratch(optim=AdamW(learning_rate=2e-3)),
    augmentation=Shift(pixels=2),
    budget=Budget(epochs=50, batch_size=32),
)

if __name__ == "__main__":
    from finetune.cli import launch

    launch(__file__)
