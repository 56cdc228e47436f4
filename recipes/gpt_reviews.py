"""GPT (SmolLM2-135M) on film reviews: is a sentence from a fresh or a rotten review?

Run     finetune run gpt_reviews --method lora
        accelerate launch recipes/gpt_reviews.py --method full
"""

from dataclasses import replace

from finetune import AdamW, Budget, Classification, Frozen, Full, LoRA, Packaged, Recipe
from finetune.data.movie_reviews import MovieReviews

recipe = Recipe(
    name="gpt_reviews",
    checkpoint=Packaged("smollm2-135m"),
    data=MovieReviews(),
    task=Classification(max_length=64),
    method=Frozen(pooling="mean"),
    budget=Budget(epochs=2, batch_size=32),
)
lora = replace(recipe, method=LoRA(optim=AdamW(learning_rate=5e-4)))
full = replace(recipe, method=Full(optim=AdamW(learning_rate=3e-5)))

if __name__ == "__main__":
    from finetune.cli import launch

    launch(__file__)
