"""Film reviews, fresh or rotten: a small BERT and a small GPT on the same rows.

Run     finetune table reviews
Expect  an hour and a half on two cores; the records are of an H100, 15 runs at a time

Nothing published stands beside: MR, the review data of the published tables, is another selection of sentences.
"""

from finetune import Benchmark, BenchmarkTable, Runs

RECIPES = ("bert_reviews", "gpt_reviews")
METHODS = ("majority", "surface", "frozen", "lora", "full")
ROWS = ("split.train_rows=4000", "split.test_rows=1000")

table = BenchmarkTable(
    benchmarks=(
        Benchmark(
            data="film reviews",
            runs=(
                Runs(recipes=RECIPES, methods=METHODS, seeds=3, settings=ROWS),
                Runs(recipes=RECIPES, methods=("frozen",), seeds=3, settings=ROWS, control="untrained"),
                Runs(recipes=RECIPES, methods=("full",), seeds=2, settings=ROWS, control="untrained"),
                Runs(recipes=RECIPES, methods=("frozen",), seeds=3, settings=ROWS, control="shuffled"),
            ),
        ),
    )
)
