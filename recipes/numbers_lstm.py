"""Spanish numbers through an LSTM whose decoder hears of the source through one vector.

Run     finetune run numbers_lstm
        accelerate launch recipes/numbers_lstm.py

As wide as to have as many parameters as the Transformer of `numbers_es`, whose rows and budget it has too.
"""

from finetune import AdamW, Blank, Budget, Recipe, Scratch, Translation
from finetune.data.numbers import Numbers
from finetune.transformer.systems.recurrent import Recurrent
from finetune.transformer.tokenizers.words import Words

data = Numbers(source="es", target="en", below=1_000_000)
recipe = Recipe(
    name="numbers_lstm",
    checkpoint=Blank(system=Recurrent(cell="lstm", width=260), tokenizer=Words(), texts=data),
    data=data,
    task=Translation(max_target=32),
    method=Scratch(optim=AdamW(learning_rate=1e-3)),
    budget=Budget(epochs=3, batch_size=64),
)

if __name__ == "__main__":
    from finetune.cli import launch

    launch(__file__)
