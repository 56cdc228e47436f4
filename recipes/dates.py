"""A Transformer from scratch on dates: martes, 5 de marzo de 2024 is 2024-03-05.

Run     finetune run dates
        accelerate launch recipes/dates.py
Expect  exact match 93.6 % [78.3, 98.3] in two minutes (n = 2000, three seeds, 18 000 training rows, a core of an Intel
        Xeon with AMX, beside other work; records in outputs/tables/dates.json)

Any locale does: `--set data.locale=ko` with `--set checkpoint.texts.locale=ko`, from whose days the tokenizer learns.
"""

from finetune import AdamW, Blank, Budget, Recipe, Scratch, Translation
from finetune.data.dates import Dates
from finetune.transformer.systems.transformer import Transformer
from finetune.transformer.tokenizers.characters import Characters

data = Dates(locale="es")
recipe = Recipe(
    name="dates",
    checkpoint=Blank(system=Transformer(), tokenizer=Characters(), texts=data),
    data=data,
    task=Translation(max_target=12),
    method=Scratch(optim=AdamW(learning_rate=1e-3)),
    budget=Budget(epochs=3, batch_size=64),
)

if __name__ == "__main__":
    from finetune.cli import launch

    launch(__file__)
