"""Headlines for Reuters' wires: SmolLM2 asked for them as it is, and after its last layers, LoRA or all of it learned.

Run     finetune table headlines
Expect  an hour on a core of an Intel Xeon with AMX, beside other work; the records are in
        outputs/tables/headlines.json

A frozen backbone has no head that writes, so `as_is` stands in its place: the checkpoint, asked by "TL;DR:" alone.
Nothing published stands beside: nobody else takes these wires apart.
"""

from finetune import Benchmark, BenchmarkTable, Runs

table = BenchmarkTable(
    benchmarks=(
        Benchmark(
            data="Reuters' headlines",
            runs=(
                Runs(
                    recipes=("gpt_headlines",),
                    methods=("as_is", "last_layers", "lora", "full"),
                    seeds=3,
                    settings=("split.train_rows=320", "split.test_rows=200", "budget.batch_size=8"),
                ),
            ),
        ),
    )
)
