"""BERT-base on CoNLL-2003: which words name persons, organisations, places and others? Needs the hub.

Run     finetune run bert_conll --method lora
        accelerate launch recipes/bert_conll.py --method full

Sentences are read one at a time; the numbers in table 7 of the BERT paper are of sentences with their document around.
"""

from dataclasses import replace

from finetune import AdamW, Budget, Frozen, Full, Hub, HubDataset, LoRA, Recipe, TokenClassification
from recipes import pin

recipe = Recipe(
    name="bert_conll",
    checkpoint=Hub("google-bert/bert-base-cased", revision=pin("google-bert/bert-base-cased")),
    data=HubDataset(
        id="lhoestq/conll2003",
        revision=pin("lhoestq/conll2003"),
        words="tokens",
        tags="ner_tags",
    ),
    task=TokenClassification(),
    method=Frozen(pooling="token"),
    budget=Budget(epochs=3, batch_size=32),
)
lora = replace(recipe, method=LoRA(optim=AdamW(learning_rate=5e-4)))
full = replace(recipe, method=Full(optim=AdamW(learning_rate=5e-5)))

if __name__ == "__main__":
    from finetune.cli import launch

    launch(__file__)
