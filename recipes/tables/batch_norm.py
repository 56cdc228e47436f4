"""What keeps the numbers between layers in range: the mean of a token, or of all tokens of a batch.

Run     finetune table batch_norm
Expect  six minutes on a core of an Intel Xeon with AMX, beside other work: 6 runs of 43 to 57 s; and a minute
        for controls

Batch norm here leaves padding out; how far it moves what a text says where it does not is in `finetune study padding`.
Reuters R8, 2000 rows, four passes. Nothing published stands beside.
"""

from dataclasses import replace

from finetune import Benchmark, BenchmarkTable, Runs

runs = Runs(
    recipes=("encoder_r8",),
    methods=("scratch",),
    seeds=3,
    settings=("split.train_rows=2000", "budget.epochs=4"),
    varied=(tuple(f"checkpoint.system.norm={kind}" for kind in ("LayerNorm", "BatchNorm")),),
)
bare = replace(runs, methods=("majority", "surface"), varied=())
dealt = replace(runs, varied=(), control="shuffled")
table = BenchmarkTable(benchmarks=(Benchmark(data="R8", runs=(runs, bare, dealt)),))
