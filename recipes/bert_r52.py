"""BERT (MiniLM-L6) on Reuters R52: fifty-two topics, some with one to three rows to learn from.

Run     finetune run bert_r52 --method lora
        accelerate launch recipes/bert_r52.py --method full
Expect  accuracy full 95.5 % [94.7, 96.2], 26 minutes; LoRA 95.0 % [94.3, 95.7], 17 minutes; frozen 93.4 % [92.4, 94.3],
        a minute (n = 2568, five seeds, 5879 training rows, a core of an AMD EPYC with AVX-512, beside another run;
        records in outputs/tables/topics.json)

Twelve epochs, and full fine-tuning at 2e-4: the validation rows of two seeds chose them among 6 or 12 epochs and rates
from 1e-4 to 1e-3.
"""

from dataclasses import replace

from finetune import AdamW, Budget, Classification, Frozen, Full, LoRA, Packaged, Recipe
from finetune.data.topics import Topics

recipe = Recipe(
    name="bert_r52",
    checkpoint=Packaged("minilm-l6"),
    data=Topics("reuters-r52"),
    task=Classification(max_length=128),
    method=Frozen(),
    budget=Budget(epochs=12, batch_size=32),
)
lora = replace(recipe, method=LoRA(optim=AdamW(learning_rate=2e-3)))
full = replace(recipe, method=Full(optim=AdamW(learning_rate=2e-4)))

if __name__ == "__main__":
    from finetune.cli import launch

    launch(__file__)
