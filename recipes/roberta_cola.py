"""RoBERTa-base on CoLA (GLUE): is a sentence one that a speaker of English would say? Needs the hub.

Run     finetune run roberta_cola --method lora
        accelerate launch recipes/roberta_cola.py --method full
"""

from dataclasses import replace

from finetune import AdamW, Budget, Classification, Frozen, Full, Hub, HubDataset, LoRA, Recipe
from recipes import pin

recipe = Recipe(
    name="roberta_cola",
    checkpoint=Hub("FacebookAI/roberta-base", revision=pin("FacebookAI/roberta-base")),
    data=HubDataset(
        id="nyu-mll/glue",
        revision=pin("nyu-mll/glue"),
        config="cola",
        files=("cola/train*", "cola/validation*"),
        test="validation",
        text="sentence",
    ),
    task=Classification(max_length=128),
    method=Frozen(),
    budget=Budget(epochs=10, batch_size=32),
)
lora = replace(recipe, method=LoRA(optim=AdamW(learning_rate=5e-4)))
full = replace(recipe, method=Full(optim=AdamW(learning_rate=2e-5)))

if __name__ == "__main__":
    from finetune.cli import launch

    launch(__file__)
