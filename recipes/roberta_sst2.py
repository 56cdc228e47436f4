"""RoBERTa-base on SST-2 (GLUE): is a sentence from a film review positive? Needs the hub.

Run     finetune run roberta_sst2 --method lora
        accelerate launch recipes/roberta_sst2.py --method full
"""

from dataclasses import replace

from finetune import AdamW, Budget, Classification, Frozen, Full, Hub, HubDataset, LoRA, Recipe
from recipes import pin

recipe = Recipe(
    name="roberta_sst2",
    checkpoint=Hub("FacebookAI/roberta-base", revision=pin("FacebookAI/roberta-base")),
    data=HubDataset(
        id="nyu-mll/glue",
        revision=pin("nyu-mll/glue"),
        config="sst2",
        files=("sst2/train*", "sst2/validation*"),
        test="validation",
        text="sentence",
    ),
    task=Classification(max_length=128),
    method=Frozen(),
    budget=Budget(epochs=3, batch_size=32),
)
lora = replace(recipe, method=LoRA(optim=AdamW(learning_rate=5e-4)))
full = replace(recipe, method=Full(optim=AdamW(learning_rate=2e-5)))

if __name__ == "__main__":
    from finetune.cli import launch

    launch(__file__)
