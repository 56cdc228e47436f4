"""CoNLL-2003, names in news: BERT-base frozen, with LoRA and fully tuned, on development and test rows. Needs the hub.

Run     finetune table conll
Expect  hours on a GPU; nobody has run it yet

The score is the F1 of spans. The published rows stand beside and are not to be reproduced: they are of sentences read
with as much of their document as there is, ours of each alone; and their frozen features go through two layers of a
BiLSTM, ours through one linear head. How many test rows a published number is of is a dash where it was not said.
"""

from finetune import Benchmark, BenchmarkTable, Published, Runs

METHODS = ("majority", "surface", "frozen", "lora", "full")
WHOLE = "split.validation=0.01"  # of the train rows, which the published runs train on whole


def paper(system: str, value: float) -> Published:
    source = "BERT paper (arXiv 1810.04805), table 7"
    return Published(system=f"BERT-base {system}", value=value, score="span_f1", seeds=5, source=source)


def runs(test: str) -> tuple[Runs, ...]:
    own = Runs(recipes=("bert_conll",), methods=METHODS, seeds=3, settings=(f"data.test={test}", WHOLE))
    return own, *own.controls("full")


table = BenchmarkTable(
    benchmarks=(
        Benchmark(
            data="CoNLL-2003, development",
            runs=runs("validation"),
            published=(
                paper("full", 0.964),
                paper("frozen, last layer, BiLSTM", 0.949),
                paper("frozen, last but one layer, BiLSTM", 0.956),
                paper("frozen, sum of the last four layers, BiLSTM", 0.959),
                paper("frozen, the last four layers side by side, BiLSTM", 0.961),
                paper("frozen, embeddings, BiLSTM", 0.91),
            ),
        ),
        Benchmark(
            data="CoNLL-2003, test",
            runs=runs("test"),
            published=(paper("full", 0.924),),
        ),
    )
)
