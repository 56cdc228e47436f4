"""What a Transformer is to read Korean in: words, pieces of words, pairs of bytes, syllables or letters.

Run     finetune table tokenizers
Expect  half an hour on a core of an Intel Xeon with AMX, beside other work: 21 runs of 41 to 177 s

Numbers below ten thousand, of which 2700 are learned from, with every tokenizer that is trained here; pieces and pairs
once with 400 tokens and once with 8000, which is to learn whole numbers by heart. Written without spaces a number is
one word, and no word of the test was ever seen. Nothing published stands beside: nobody else has these rows.
"""

from finetune import Benchmark, BenchmarkTable, Runs

# the tokenizer learns from the rows that are trained on
ROWS = tuple(
    f"{data}.{each}" for each in ("train=3000", "test=1000", "below=10000") for data in ("data", "checkpoint.texts")
)


def runs(kinds: tuple[str, ...], *sizes: int) -> Runs:
    tokenizers = tuple(f"checkpoint.tokenizer={kind}" for kind in kinds)
    return Runs(
        recipes=("numbers_ko",),
        methods=("scratch",),
        seeds=3,
        settings=(*ROWS, "budget.epochs=12"),
        varied=(tokenizers, *([tuple(f"checkpoint.tokenizer.size={size}" for size in sizes)] if sizes else [])),
    )


table = BenchmarkTable(
    benchmarks=(
        Benchmark(
            data="Korean numbers",
            runs=(runs(("Words",), 400), runs(("WordPiece", "BytePair"), 400, 8000), runs(("Characters", "Jamo"))),
        ),
    )
)
