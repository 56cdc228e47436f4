"""Film reviews, fresh or rotten: a small BERT and a small GPT on the same rows.

Run     finetune table reviews
Expect  an hour and a half on two cores; of the records those of frozen, LoRA and full are of an H100, 15 runs at a time

Nothing published stands beside: MR, the review data of the published tables, is another selection of sentences.
"""

from dataclasses import replace

from finetune import Benchmark, BenchmarkTable, Runs

runs = Runs(
    recipes=("bert_reviews",),
    methods=("majority", "surface", "frozen", "lora", "full"),
    seeds=3,
    settings=("split.train_rows=4000", "split.test_rows=1000"),
)
RANDOM, DEALT = runs.controls("full")
table = BenchmarkTable(
    benchmarks=(
        Benchmark(
            data="film reviews",
            runs=(
                replace(runs, recipes=("bert_reviews", "gpt_reviews")),
                RANDOM,
                replace(RANDOM, recipes=("gpt_reviews",), methods=("frozen",)),
                replace(DEALT, recipes=("bert_reviews", "gpt_reviews")),
            ),
            notes=(
                "every method has the one setting of its recipe, frozen the mean of the last layer: the best may be "
                "another, which equal trials of each would tell (`finetune compare --trials`)",
            ),
        ),
    )
)
