"""BERT (MiniLM-L6) on numbers in words: how many powers of ten is forty-two thousand?

Run     finetune run bert_magnitudes --method lora
        accelerate launch recipes/bert_magnitudes.py --method full
Expect  of 320 rows in batches of 8 Pearson frozen 97.8 % [97.3, 98.2], 2 seconds; LoRA 97.7 % [97.2, 98.3], 16 seconds;
        full 80.0 % [72.1, 88.3], 23 seconds, which says of the few numbers of three digits that they have six (n = 400,
        one seed, 120 updates, one thread of an Intel Xeon with AMX that had other work)

Any language of num2words does: `--set data.language=de`.
"""

from dataclasses import replace

from finetune import AdamW, Budget, Frozen, Full, LoRA, Packaged, Recipe, Regression
from finetune.data.magnitudes import Magnitudes

recipe = Recipe(
    name="bert_magnitudes",
    checkpoint=Packaged("minilm-l6"),
    data=Magnitudes(language="en", below=1_000_000),
    task=Regression(max_length=64),
    method=Frozen(penalty=None),
    budget=Budget(epochs=3, batch_size=32),
)
lora = replace(recipe, method=LoRA(optim=AdamW(learning_rate=2e-3)))
full = replace(recipe, method=Full(optim=AdamW(learning_rate=1e-4)))

if __name__ == "__main__":
    from finetune.cli import launch

    launch(__file__)
