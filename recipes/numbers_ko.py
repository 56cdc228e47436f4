"""A Transformer from scratch on Korean numbers, letter by letter: ㅅㅏㅁㅅㅣㅂㅇㅣ is thirty-two.

Run     finetune run numbers_ko
        accelerate launch recipes/numbers_ko.py
Expect  exact match 92.8 % [91.6, 93.9], nine minutes (n = 2000, one seed, 18 000 training rows, a core of an Intel Xeon
        with AMX, beside other work)
"""

from finetune import AdamW, Blank, Budget, Recipe, Scratch, Translation
from finetune.data.numbers import Numbers
from finetune.transformer.systems.transformer import Transformer
from finetune.transformer.tokenizers.jamo import Jamo

data = Numbers(source="ko", target="en", below=1_000_000)
recipe = Recipe(
    name="numbers_ko",
    checkpoint=Blank(system=Transformer(), tokenizer=Jamo(), texts=data),
    data=data,
    task=Translation(max_target=96),
    method=Scratch(optim=AdamW(learning_rate=1e-3)),
    budget=Budget(epochs=3, batch_size=64),
)

if __name__ == "__main__":
    from finetune.cli import launch

    launch(__file__)
