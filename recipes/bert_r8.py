"""BERT (MiniLM-L6) on Reuters R8: which of eight topics is a news wire about?

Run     finetune run bert_r8 --method lora
        accelerate launch recipes/bert_r8.py --method full
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
