"""BERT-base on MRPC (GLUE): do two sentences say the same? Needs the hub.

Run     finetune run bert_mrpc --method lora
        accelerate launch recipes/bert_mrpc.py --method full
"""

from dataclasses import replace

from finetune import AdamW, Budget, Classification, Frozen, Full, Hub, HubDataset, LoRA, Recipe
from recipes import pin

recipe = Recipe(
    name="bert_mrpc",
    checkpoint=Hub("google-bert/bert-base-uncased", revision=pin("google-bert/bert-base-uncased")),
    data=HubDataset(
        id="nyu-mll/glue",
        revision=pin("nyu-mll/glue"),
        config="mrpc",
        files=("mrpc/*",),
        text="sentence1",
        text_pair="sentence2",
    ),
    task=Classification(max_length=128),
    method=Frozen(),
    budget=Budget(epochs=5, batch_size=32),
)
lora = replace(recipe, method=LoRA(optim=AdamW(learning_rate=5e-4)))
full = replace(recipe, method=Full(optim=AdamW(learning_rate=2e-5)))

if __name__ == "__main__":
    from finetune.cli import launch

    launch(__file__)
