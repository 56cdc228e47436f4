"""ViT-base on CIFAR-100: a hundred kinds of things, 32 pixels a side, resized to 224. Needs the hub.

Run     finetune run vit_cifar100 --method lora
        accelerate launch recipes/vit_cifar100.py --method full
"""

from dataclasses import replace

from finetune import AdamW, Budget, Classification, Frozen, Full, Hub, HubDataset, LoRA, Recipe
from recipes import pin

recipe = Recipe(
    name="vit_cifar100",
    checkpoint=Hub("google/vit-base-patch16-224-in21k", revision=pin("google/vit-base-patch16-224-in21k")),
    data=HubDataset(
        id="uoft-cs/cifar100",
        revision=pin("uoft-cs/cifar100"),
        config="cifar100",
        files=("cifar100/*",),
        text=None,
        image="img",
        label="fine_label",
    ),
    task=Classification(),
    method=Frozen(),
    budget=Budget(epochs=3, batch_size=64),
)
lora = replace(recipe, method=LoRA(optim=AdamW(learning_rate=1e-3)))
full = replace(recipe, method=Full(optim=AdamW(learning_rate=5e-5)))

if __name__ == "__main__":
    from finetune.cli import launch

    launch(__file__)
