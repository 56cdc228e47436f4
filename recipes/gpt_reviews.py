"""GPT (SmolLM2-135M) on film reviews: is a sentence from a fresh or a rotten review?

Run     finetune run gpt_reviews --method lora
        accelerate launch recipes/gpt_reviews.py --method full
Expect  accuracy full 87.2 % [85.1, 89.0], LoRA 84.7 % [82.6, 86.5], frozen 75.6 % [72.8, 78.2] (n = 1000, three seeds,
        4000 training rows, an H100; records in outputs/tables/reviews.json); 6, 6 and 2 minutes on two cores
"""

from dataclasses import replace

from finetune import AdamW, Budget, Classification, Frozen, Full, LoRA, Packaged, Recipe, Split
from finetune.data.movie_reviews import MovieReviews

recipe = Recipe(
    name="gpt_reviews",
    checkpoint=Packaged("smollm2-135m"),
    data=MovieReviews(),
    task=Classification(max_length=64),
    split=Split(train_rows=4000, test_rows=1000),  # minutes on two cores; --set split.train_rows=none takes every row
    method=Frozen(),
    budget=Budget(epochs=1, batch_size=16),
)
lora = replace(recipe, method=LoRA(optim=AdamW(learning_rate=2e-3)))
full = replace(recipe, method=Full(optim=AdamW(learning_rate=1e-4)))

if __name__ == "__main__":
    from finetune.cli import launch

    launch(__file__)
