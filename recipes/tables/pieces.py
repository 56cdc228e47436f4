"""What a Transformer is to read Korean in: words, pieces of words, pairs of bytes, syllables or letters.

Run     finetune table pieces
Expect  TODO

Numbers below ten thousand, of which 2700 are learned from, with every tokenizer that is trained here. Written without
spaces a number is one word, and no word of the test was ever seen. Nothing published stands beside: nobody else has
these rows.
"""

from finetune import Benchmark, BenchmarkTable, Runs

KINDS = ("Words", "WordPiece", "BytePair", "Characters", "Jamo")
# the tokenizer learns from the rows that are trained on
ROWS = tuple(
    f"{data}.{each}" for each in ("train=3000", "test=1000", "below=10000") for data in ("data", "checkpoint.texts")
)

runs = Runs(
    recipes=("numbers_ko",),
    methods=("scratch",),
    seeds=3,
    settings=(*ROWS, "budget.epochs=12"),
    varied=(tuple(f"checkpoint.tokenizer={kind}" for kind in KINDS),),
)
table = BenchmarkTable(benchmarks=(Benchmark(data="Korean numbers", runs=(runs,)),))
