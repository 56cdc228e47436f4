"""DistilBERT on Emotion: which of six emotions does a message speak of? Needs the hub.

Run     finetune run distilbert_emotion --method lora
        accelerate launch recipes/distilbert_emotion.py --method full
"""

from dataclasses import replace

from finetune import AdamW, Budget, Classification, Frozen, Full, Hub, HubDataset, LoRA, Recipe
from recipes import pin

recipe = Recipe(
    name="distilbert_emotion",
    checkpoint=Hub("distilbert/distilbert-base-uncased", revision=pin("distilbert/distilbert-base-uncased")),
    data=HubDataset(
        id="dair-ai/emotion",
        revision=pin("dair-ai/emotion"),
        config="split",
        files=("split/train*", "split/validation*"),
        test="validation",
        text="text",
    ),
    task=Classification(max_length=128),
    method=Frozen(pooling="cls"),
    budget=Budget(epochs=2, batch_size=64),
)
lora = replace(recipe, method=LoRA(optim=AdamW(learning_rate=5e-4)))
full = replace(recipe, method=Full(optim=AdamW(learning_rate=2e-5)))

if __name__ == "__main__":
    from finetune.cli import launch

    launch(__file__)
