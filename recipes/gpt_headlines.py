"""GPT (SmolLM2-135M) on Reuters wires: which headline had it? Texts of which the headline can be told, of R52.

Run     finetune run gpt_headlines --method lora
        accelerate launch recipes/gpt_headlines.py --method full
Expect  of 320 rows in batches of 8 ROUGE-1 full 34.8 %, LoRA 27.4 %, last layers 12.5 %, as it is 8.3 % (n = 200, three
        seeds; standard errors of 0.6 to 1.4 and the records in outputs/tables/headlines.json), 3 to 6 minutes a run on
        a core of an Intel Xeon with AMX

A frozen backbone has no head that writes. `--method as_is` is the checkpoint as it comes, asked by "TL;DR:", and
`--method last_layers` trains the least of it.
"""

from dataclasses import replace

from finetune import AdamW, Budget, Full, LastLayers, LoRA, Packaged, Recipe, Split, Summarisation
from finetune.data.headlines import Headlines
from finetune.methods.as_is import AsIs

recipe = Recipe(
    name="gpt_headlines",
    checkpoint=Packaged("smollm2-135m"),
    data=Headlines("reuters-r52"),
    task=Summarisation(max_length=128, max_target=24),
    split=Split(train_rows=1000, test_rows=400),  # minutes on two cores; --set split.train_rows=none takes every row
    method=LoRA(optim=AdamW(learning_rate=1e-3)),
    budget=Budget(epochs=2, batch_size=16),
)
as_is = replace(recipe, method=AsIs())
last_layers = replace(recipe, method=LastLayers(optim=AdamW(learning_rate=2e-4)))
full = replace(recipe, method=Full(optim=AdamW(learning_rate=1e-4)))

if __name__ == "__main__":
    from finetune.cli import launch

    launch(__file__)
