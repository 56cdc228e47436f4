"""A Transformer from scratch on numbers: treinta y dos mil is thirty-two thousand.

Run     finetune run numbers_es
        accelerate launch recipes/numbers_es.py
Expect  exact match 99.97 % [99.8, 100] in two minutes (n = 2000, three seeds, 18 000 training rows, a core of an Intel
        Xeon with AMX; records in outputs/tables/numbers.json)
"""

from finetune import AdamW, Blank, Budget, Recipe, Scratch, Translation
from finetune.data.numbers import Numbers
from finetune.transformer.systems.transformer import Transformer
from finetune.transformer.tokenizers.words import Words

data = Numbers(source="es", target="en", below=1_000_000)
recipe = Recipe(
    name="numbers_es",
    checkpoint=Blank(system=Transformer(), tokenizer=Words(), texts=data),
    data=data,
    task=Translation(max_target=32),
    method=Scratch(optim=AdamW(learning_rate=1e-3)),
    budget=Budget(epochs=3, batch_size=64),
)

if __name__ == "__main__":
    from finetune.cli import launch

    launch(__file__)
