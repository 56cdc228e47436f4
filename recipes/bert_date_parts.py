"""BERT (MiniLM-L6) on dates in sentences: which words are the weekday, the day, the month and the year?

Run     finetune run bert_date_parts --method full
        accelerate launch recipes/bert_date_parts.py --method lora
Expect  F1 of spans full 100.0 % [99.0, 100.0], LoRA 100.0 % [99.9, 100.0], frozen 95.5 % [94.4, 96.5] (n = 400
        sentences, one seed, 640 training rows: `--rows 640 --test-rows 400`)

The dates are Portuguese, the sentences English; another locale is `--set data.locale=de`. It is an exercise without a
network, and an easy one; `bert_conll` is the one that others have numbers of.
"""

from dataclasses import replace

from finetune import AdamW, Budget, Frozen, Full, LoRA, Packaged, Recipe, TokenClassification
from finetune.data.date_parts import DateParts

recipe = Recipe(
    name="bert_date_parts",
    checkpoint=Packaged("minilm-l6"),
    data=DateParts(),
    task=TokenClassification(max_length=64),
    method=Frozen(pooling="token"),
    budget=Budget(epochs=3, batch_size=16),
)
lora = replace(recipe, method=LoRA(optim=AdamW(learning_rate=2e-3)))
full = replace(recipe, method=Full(optim=AdamW(learning_rate=1e-4)))

if __name__ == "__main__":
    from finetune.cli import launch

    launch(__file__)
