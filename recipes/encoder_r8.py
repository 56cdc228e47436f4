"""An encoder from scratch on Reuters R8: which of eight topics is a news wire about?

Run     finetune run encoder_r8
        accelerate launch recipes/encoder_r8.py
Expect  accuracy 97.0 % [96.3, 97.5], two minutes (n = 2189, three seeds, 4937 training rows, a core of an Intel Xeon
        with AMX; records in outputs/tables/scratch.json)

What pretraining is worth is seen beside `bert_r8`: same rows, and a network that has read nothing before. Its word
pieces are those of the training texts.
"""

from finetune import AdamW, Blank, Budget, Classification, Recipe, Scratch
from finetune.data.topics import Topics
from finetune.transformer.systems.encoder import TextEncoder
from finetune.transformer.tokenizers.word_piece import WordPiece

data = Topics("reuters-r8")
recipe = Recipe(
    name="encoder_r8",
    checkpoint=Blank(system=TextEncoder(), tokenizer=WordPiece(), texts=data),
    data=data,
    task=Classification(max_length=128),
    method=Scratch(optim=AdamW(learning_rate=1e-3)),
    budget=Budget(epochs=6, batch_size=32),
)

if __name__ == "__main__":
    from finetune.cli import launch

    launch(__file__)
