"""ViT-base on Beans: is a bean leaf healthy, and if not, of what is it ill? Needs the hub.

Run     finetune run vit_beans --method lora
        accelerate launch recipes/vit_beans.py --method full
"""

from dataclasses import replace

from finetune import AdamW, Budget, Classification, Frozen, Full, Hub, HubDataset, LoRA, Recipe
from recipes import pin

recipe = Recipe(
    name="vit_beans",
    checkpoint=Hub("google/vit-base-patch16-224-in21k", revision=pin("google/vit-base-patch16-224-in21k")),
    data=HubDataset(
        id="AI-Lab-Makerere/beans",
        revision=pin("AI-Lab-Makerere/beans"),
        text=None,
        image="image",
        label="labels",
    ),
    task=Classification(),
    method=Frozen(),
    budget=Budget(epochs=5, batch_size=32),
)
lora = replace(recipe, method=LoRA(optim=AdamW(learning_rate=1e-3)))
full = replace(recipe, method=Full(optim=AdamW(learning_rate=5e-5)))

if __name__ == "__main__":
    from finetune.cli import launch

    launch(__file__)
