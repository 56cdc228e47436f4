"""Another attention inside: all three checkpoints with every attention, and what each method buys back.

Run     finetune table attention
Expect  156 runs in 80 minutes on a core of an Intel Xeon with AMX, and 15 of controls in five on one of an AMD EPYC;
        the records are in outputs/tables/attention.json

One seed: a row is held against its record within the error over test rows alone.
"""

from dataclasses import replace

from finetune import Benchmark, BenchmarkTable, Runs

runs = Runs(
    recipes=("bert_r8", "gpt_reviews", "vit_mnist"),
    methods=("stock_head", "frozen", "lora", "full"),
    attentions=(
        "stock",
        "multihead",
        "unscaled",
        "single_head",
        "sliding_window",
        "top_k",
        "linear",
        "softmax_one",
        "sigmoid",
        "alibi",
        "talking_heads",
        "differential",
        "uniform",
    ),
    seeds=1,
    settings=("split.train_rows=320", "split.test_rows=400", "budget.batch_size=8"),
)
bare = replace(runs, methods=("majority", "surface"), attentions=("stock",))
table = BenchmarkTable(
    by="attention", benchmarks=(Benchmark(data="320 rows each", runs=(runs, bare, *runs.controls("full"))),)
)
