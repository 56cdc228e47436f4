"""BERT (MiniLM-L6) on Reuters R8: which of eight topics is a news wire about?

Run     finetune run bert_r8 --method lora
        accelerate launch recipes/bert_r8.py --method full
Expect  accuracy full 97.5 % [96.9, 98.1], 5 minutes; LoRA 97.2 % [96.6, 97.8], 3 minutes; frozen 96.7 % [95.8, 97.3],
        26 seconds (n = 2189, five seeds, 4937 training rows, two cores of an Intel Xeon with AMX; records in
        outputs/tables/topics.json)
"""

from dataclasses import replace

from finetune import AdamW, Budget, Classification, Frozen, Full, LoRA, Packaged, Recipe
from finetune.data.topics import Topics

recipe = Recipe(
    name="bert_r8",
    checkpoint=Packaged("minilm-l6"),
    data=Topics("reuters-r8"),
    task=Classification(max_length=128),
    method=Frozen(),
    budget=Budget(epochs=3, batch_size=32),
)
lora = replace(recipe, method=LoRA(optim=AdamW(learning_rate=2e-3)))
full = replace(recipe, method=Full(optim=AdamW(learning_rate=1e-4)))

if __name__ == "__main__":
    from finetune.cli import launch

    launch(__file__)
