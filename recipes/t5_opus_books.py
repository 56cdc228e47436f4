"""T5-small on OPUS books: from English to French, a sentence of a novel at a time. Needs the hub.

Run     finetune run t5_opus_books --method lora
        accelerate launch recipes/t5_opus_books.py --method full

`--method as_is` is the checkpoint as it comes: it has learned to translate under this prefix (Raffel and others 2020).
"""

from dataclasses import replace

from finetune import AdamW, Budget, Full, Hub, HubDataset, LastLayers, LoRA, Recipe, Split, Translation
from finetune.methods.as_is import AsIs
from recipes import pin

recipe = Recipe(
    name="t5_opus_books",
    checkpoint=Hub("google-t5/t5-small", revision=pin("google-t5/t5-small")),
    data=HubDataset(
        id="Helsinki-NLP/opus_books",
        revision=pin("Helsinki-NLP/opus_books"),
        config="en-fr",
        files=("en-fr/train*",),
        test=None,
        text="translation.en",
        target="translation.fr",
    ),
    task=Translation(prefix="translate English to French: ", max_length=128, max_target=128, beams=4),
    split=Split(validation=0.01, test=0.02),
    method=LoRA(optim=AdamW(learning_rate=1e-3)),
    budget=Budget(epochs=2, batch_size=32),
)
as_is = replace(recipe, method=AsIs())
last_layers = replace(recipe, method=LastLayers(optim=AdamW(learning_rate=3e-4)))
full = replace(recipe, method=Full(optim=AdamW(learning_rate=1e-4)))

if __name__ == "__main__":
    from finetune.cli import launch

    launch(__file__)
