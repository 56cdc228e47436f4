"""Spanish numbers through an RNN whose decoder hears of the source through one vector.

Run     finetune run numbers_rnn
        accelerate launch recipes/numbers_rnn.py

As wide as to have as many parameters as the Transformer of `numbers_es`, whose rows and budget it has too.
"""

from finetune import AdamW, Blank, Budget, Recipe, Scratch, Translation
from finetune.data.numbers import Numbers
from finetune.transformer.systems.recurrent import Recurrent
from finetune.transformer.tokenizers.words import Words

data = Numbers(source="es", target="en", below=1_000_000)
recipe = Recipe(
    name="numbers_rnn",
    checkpoint=Blank(system=Recurrent(cell="rnn", width=440), tokenizer=Words(), texts=data),
    data=data,
    task=Translation(max_target=32),
    method=Scratch(optim=AdamW(learning_rate=1e-3)),
    budget=Budget(epochs=3, batch_size=64),
)

if __name__ == "__main__":
    from finetune.cli import launch

    launch(__file__)
