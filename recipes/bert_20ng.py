"""BERT (MiniLM-L6) on 20 Newsgroups: which of twenty groups was a message posted to?

Run     finetune run bert_20ng --method lora
        accelerate launch recipes/bert_20ng.py --method full
Expect  accuracy full 84.9 % [84.1, 85.7], 38 minutes; LoRA 80.8 % [79.9, 81.7], 21 minutes; frozen 77.8 % [76.8, 78.7],
        5 minutes (n = 7528, three seeds, 10 164 training rows, a core of an AMD EPYC with AVX-512, beside another run;
        records in outputs/tables/topics.json)

The rates are the greater of two that were tried (the others: 1e-4 and 2e-3); the validation rows preferred them.
"""

from dataclasses import replace

from finetune import AdamW, Budget, Classification, Frozen, Full, LoRA, Packaged, Recipe
from finetune.data.topics import Topics

recipe = Recipe(
    name="bert_20ng",
    checkpoint=Packaged("minilm-l6"),
    data=Topics("20newsgroups"),
    task=Classification(max_length=256),
    method=Frozen(),
    budget=Budget(epochs=4, batch_size=32),
)
lora = replace(recipe, method=LoRA(optim=AdamW(learning_rate=5e-3)))
full = replace(recipe, method=Full(optim=AdamW(learning_rate=3e-4)))

if __name__ == "__main__":
    from finetune.cli import launch

    launch(__file__)
