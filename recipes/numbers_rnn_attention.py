"""Spanish numbers through an RNN whose decoder looks at every word of the source.

Run     finetune run numbers_rnn_attention
        accelerate launch recipes/numbers_rnn_attention.py

Scores are dot products, which have no weights: from `numbers_rnn` it differs in what the decoder sees alone.
"""

from finetune import AdamW, Blank, Budget, Recipe, Scratch, Translation
from finetune.data.numbers import Numbers
from finetune.transformer.scores.dot import Dot
from finetune.transformer.systems.recurrent import Recurrent
from finetune.transformer.tokenizers.words import Words

data = Numbers(source="es", target="en", below=1_000_000)
recipe = Recipe(
    name="numbers_rnn_attention",
    checkpoint=Blank(system=Recurrent(cell="rnn", width=440, attention=Dot()), tokenizer=Words(), texts=data),
    data=data,
    task=Translation(max_target=32),
    method=Scratch(optim=AdamW(learning_rate=1e-3)),
    budget=Budget(epochs=3, batch_size=64),
)

if __name__ == "__main__":
    from finetune.cli import launch

    launch(__file__)
