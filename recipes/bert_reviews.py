"""BERT (MiniLM-L6) on film reviews: is a sentence from a fresh or a rotten review?

Run     finetune run bert_reviews --method lora
        accelerate launch recipes/bert_reviews.py --method full
"""

from dataclasses import replace

from finetune import AdamW, Budget, Classification, Frozen, Full, LoRA, Packaged, Recipe
from finetune.data.movie_reviews import MovieReviews

recipe = Recipe(
    name="bert_reviews",
    checkpoint=Packaged("minilm-l6"),
    data=MovieReviews(),
    task=Classification(max_length=64),
    method=Frozen(),
    budget=Budget(epochs=3, batch_size=32),
)
lora = replace(recipe, method=LoRA(optim=AdamW(learning_rate=1e-3)))
full = replace(recipe, method=Full(optim=AdamW(learning_rate=5e-5)))

if __name__ == "__main__":
    from finetune.cli import launch

    launch(__file__)
