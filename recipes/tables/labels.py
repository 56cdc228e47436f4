"""How many labels each method needs: MiniLM on Reuters R8 with 8 to 256 labels of each topic, and with all.

Run     finetune table labels
        finetune tables labels --by labels --figure outputs/figures/labels.png   (what `--save` wrote)
Expect  95 minutes on a core of an Intel Xeon with AMX and an hour for controls on one of an AMD EPYC, both beside
        other work; the records are in outputs/tables/labels.json

Rows of a small number are among those of a larger. Few rows are passed over until there were a hundred updates, or
nothing would be learned from them. Nothing published stands beside: others count labels of other rows.
"""

from finetune import Benchmark, BenchmarkTable, Runs

runs = Runs(
    recipes=("bert_r8",),
    methods=("majority", "surface", "frozen", "lora", "full"),
    seeds=3,
    settings=("budget.least_updates=100",),
    varied=(tuple(f"split.per_class={labels}" for labels in (8, 16, 64, 256, "none")),),
)
table = BenchmarkTable(by="labels", benchmarks=(Benchmark(data="R8", runs=(runs, *runs.controls("full"))),))
