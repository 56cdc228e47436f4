"""RoBERTa-base on QNLI (GLUE): does a sentence answer a question? Needs the hub.

Run     finetune run roberta_qnli --method lora
        accelerate launch recipes/roberta_qnli.py --method full
"""

from dataclasses import replace

from finetune import AdamW, Budget, Classification, Frozen, Full, Hub, HubDataset, LoRA, Recipe
from recipes import pin

recipe = Recipe(
    name="roberta_qnli",
    checkpoint=Hub("FacebookAI/roberta-base", revision=pin("FacebookAI/roberta-base")),
    data=HubDataset(
        id="nyu-mll/glue",
        revision=pin("nyu-mll/glue"),
        config="qnli",
        files=("qnli/train*", "qnli/validation*"),
        test="validation",
        text="question",
        text_pair="sentence",
    ),
    task=Classification(max_length=256),
    method=Frozen(),
    budget=Budget(epochs=3, batch_size=32),
)
lora = replace(recipe, method=LoRA(optim=AdamW(learning_rate=5e-4)))
full = replace(recipe, method=Full(optim=AdamW(learning_rate=2e-5)))

if __name__ == "__main__":
    from finetune.cli import launch

    launch(__file__)
