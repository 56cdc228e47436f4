"""ViT (DINOv2-small) on 5000 MNIST digits, resized to 112 pixels a side.

Run     finetune run vit_mnist --method lora
        accelerate launch recipes/vit_mnist.py --method full
Expect  accuracy LoRA 98.7 % [97.9, 99.2], 5 minutes; full 98.6 % [97.7, 99.2], 6 minutes; frozen 92.8 % [91.0, 94.2],
        1 minute (n = 1000, three seeds, 3600 training rows, a core of an Intel Xeon with AMX; records in
        outputs/tables/digits.json)
"""

from dataclasses import replace

from finetune import AdamW, Budget, Classification, Frozen, Full, LoRA, Packaged, Recipe
from finetune.data.mnist_5k import Mnist5k

recipe = Recipe(
    name="vit_mnist",
    checkpoint=Packaged("dinov2-small"),
    data=Mnist5k(),
    task=Classification(image_size=112),
    method=Frozen(),
    budget=Budget(epochs=3, batch_size=32),
)
lora = replace(recipe, method=LoRA(optim=AdamW(learning_rate=1e-3)))
full = replace(recipe, method=Full(optim=AdamW(learning_rate=2e-5)))

if __name__ == "__main__":
    from finetune.cli import launch

    launch(__file__)
