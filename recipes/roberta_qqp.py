"""RoBERTa-base on QQP (GLUE): do two questions ask the same? Needs the hub.

Run     finetune run roberta_qqp --method lora
        accelerate launch recipes/roberta_qqp.py --method full
"""

from dataclasses import replace

from finetune import AdamW, Budget, Classification, Frozen, Full, Hub, HubDataset, LoRA, Recipe
from recipes import pin

recipe = Recipe(
    name="roberta_qqp",
    checkpoint=Hub("FacebookAI/roberta-base", revision=pin("FacebookAI/roberta-base")),
    data=HubDataset(
        id="nyu-mll/glue",
        revision=pin("nyu-mll/glue"),
        config="qqp",
        files=("qqp/train*", "qqp/validation*"),
        test="validation",
        text="question1",
        text_pair="question2",
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
