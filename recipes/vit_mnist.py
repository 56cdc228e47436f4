"""ViT (DINOv2-small) on 5000 MNIST digits, resized to 112 pixels a side.

Run     finetune run vit_mnist --method lora
        accelerate launch recipes/vit_mnist.py --method full
Expect  accuracy full 99.0 % [98.2, 99.5], 6 minutes; LoRA 98.6 % [97.7, 99.2], 5 minutes; frozen 92.6 % [90.8, 94.1],
        1 minute (n = 1000, one seed, 3600 training rows, two cores of an AMD EPYC; records in
        outputs/tables/whole.json)
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
