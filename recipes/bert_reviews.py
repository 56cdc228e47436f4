"""BERT (MiniLM-L6) on film reviews: is a sentence from a fresh or a rotten review?

Run     finetune run bert_reviews --method lora
        accelerate launch recipes/bert_reviews.py --method full
Expect  accuracy full 82.5 %, LoRA 80.6 %, frozen 72.0 % (n = 1000, three seeds, 4000 training rows, an H100; standard
        errors of 1.1 to 1.4 and the records in outputs/tables/reviews.json)
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
