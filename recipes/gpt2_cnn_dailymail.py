"""GPT-2 on CNN/DailyMail: what are the highlights of an article? Needs the hub.

Run     finetune run gpt2_cnn_dailymail --method lora
        accelerate launch recipes/gpt2_cnn_dailymail.py --method full

`--method as_is` is the checkpoint as it comes, asked by "TL;DR:" (Radford and others 2019, section 3.6).
"""

from dataclasses import replace

from finetune import AdamW, Budget, Full, Hub, HubDataset, LastLayers, LoRA, Recipe, Split, Summarisation
from finetune.methods.as_is import AsIs
from recipes import pin

recipe = Recipe(
    name="gpt2_cnn_dailymail",
    checkpoint=Hub("openai-community/gpt2", revision=pin("openai-community/gpt2")),
    data=HubDataset(
        id="abisee/cnn_dailymail",
        revision=pin("abisee/cnn_dailymail"),
        config="3.0.0",
        files=("3.0.0/train*", "3.0.0/test*"),
        text="article",
        target="highlights",
    ),
    task=Summarisation(max_length=880, max_target=128),
    split=Split(validation=0.005, train_rows=20_000, test_rows=1_000),  # a part of what there is
    method=LoRA(optim=AdamW(learning_rate=5e-4)),
    budget=Budget(epochs=1, batch_size=16),
)
as_is = replace(recipe, method=AsIs())
last_layers = replace(recipe, method=LastLayers(optim=AdamW(learning_rate=1e-4)))
full = replace(recipe, method=Full(optim=AdamW(learning_rate=5e-5)))

if __name__ == "__main__":
    from finetune.cli import launch

    launch(__file__)
