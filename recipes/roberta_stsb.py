"""RoBERTa-base on STS-B (GLUE): how alike are two sentences, from 0 to 5? Needs the hub.

Run     finetune run roberta_stsb --method lora
        accelerate launch recipes/roberta_stsb.py --method full
"""

from dataclasses import replace

from finetune import AdamW, Budget, Frozen, Full, Hub, HubDataset, LoRA, Recipe, Regression
from recipes import pin

recipe = Recipe(
    name="roberta_stsb",
    checkpoint=Hub("FacebookAI/roberta-base", revision=pin("FacebookAI/roberta-base")),
    data=HubDataset(
        id="nyu-mll/glue",
        revision=pin("nyu-mll/glue"),
        config="stsb",
        files=("stsb/train*", "stsb/validation*"),
        test="validation",  # the values of its test rows are hidden
        text="sentence1",
        text_pair="sentence2",
        value="label",
    ),
    task=Regression(max_length=128),
    method=Frozen(penalty=None),
    budget=Budget(epochs=10, batch_size=32),
)
lora = replace(recipe, method=LoRA(optim=AdamW(learning_rate=5e-4)))
full = replace(recipe, method=Full(optim=AdamW(learning_rate=2e-5)))

if __name__ == "__main__":
    from finetune.cli import launch

    launch(__file__)
