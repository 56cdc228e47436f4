"""Film reviews, fresh or rotten: a small BERT and a small GPT on the same rows.

Run     finetune table reviews
Expect  an hour and a half on two cores; but for controls the records are of an H100, 15 runs at a time

Nothing published stands beside: MR, the review data of the published tables, is another selection of sentences.
"""

from finetune import Benchmark, BenchmarkTable, Runs

BERT = ("bert_reviews",)
METHODS = ("majority", "surface", "frozen", "lora", "full")
ROWS = ("split.train_rows=4000", "split.test_rows=1000")

table = BenchmarkTable(
    benchmarks=(
        Benchmark(
            data="film reviews",
            runs=(
                Runs(recipes=(*BERT, "gpt_reviews"), methods=METHODS, seeds=3, settings=ROWS),
                Runs(recipes=BERT, methods=("frozen", "full"), seeds=3, settings=ROWS, control="untrained"),
                Runs(recipes=BERT, methods=("frozen",), seeds=3, settings=ROWS, control="shuffled"),
            ),
        ),
    )
)
