"""GPT (SmolLM2-135M) on film reviews: is a sentence from a fresh or a rotten review?

Run     finetune run gpt_reviews --method lora
        accelerate launch recipes/gpt_reviews.py --method full
Expect  accuracy full 86.7 % [84.5, 88.7], 6 minutes; LoRA 84.8 % [82.4, 86.9], 6 minutes; frozen 75.3 % [72.5, 77.9],
        2 minutes (n = 1000, one seed, 4000 training rows, two cores of an AMD EPYC; records in
        outputs/tables/whole.json)
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
