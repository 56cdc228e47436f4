"""GPT (SmolLM2-135M) on 20 Newsgroups: which of twenty groups was a message posted to?

Run     finetune run gpt_20ng --method lora
        accelerate launch recipes/gpt_20ng.py --method full

Expect  accuracy frozen 59.1 % [56.0, 62.1], LoRA 57.0 [54.3, 59.7], full 28.5 [11.8, 54.3] (n = 1000, three seeds, 320
        training rows and three passes; records in outputs/tables/topics.json); 3 and 6 minutes of LoRA and full on a
        core of an Intel Xeon with AMX, beside other work

The rates are those of `gpt_r8`: nothing was chosen on these rows, and 120 updates are few for all weights at 1e-4.
"""

from dataclasses import replace

from finetune import AdamW, Budget, Classification, Frozen, Full, LoRA, Packaged, Recipe, Split
from finetune.data.topics import Topics

recipe = Recipe(
    name="gpt_20ng",
    checkpoint=Packaged("smollm2-135m"),
    data=Topics("20newsgroups"),
    task=Classification(max_length=128),
    split=Split(train_rows=4000, test_rows=1000),  # --set split.train_rows=none takes every row
    method=Frozen(),
    budget=Budget(epochs=1, batch_size=16),
)
lora = replace(recipe, method=LoRA(optim=AdamW(learning_rate=2e-3)))
full = replace(recipe, method=Full(optim=AdamW(learning_rate=1e-4)))

if __name__ == "__main__":
    from finetune.cli import launch

    launch(__file__)
