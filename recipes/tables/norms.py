"""Norms before or after: encoders from scratch by depth and learning rate, without a warm-up.

Run     finetune table norms
Expect  an hour on a core of an Intel Xeon: 54 runs of 20 to 140 s; and a minute for controls

Post-norm is the order of 2017, pre-norm that of what came later. Reuters R8, 2000 rows, four passes. Nothing published
stands beside: Xiong and others 2020 (arXiv 2002.04745) say the same of translation.
"""

from dataclasses import replace

from finetune import Benchmark, BenchmarkTable, Runs

ROWS = "split.train_rows=2000"
runs = Runs(
    recipes=("encoder_r8",),
    methods=("scratch",),
    seeds=3,
    settings=(ROWS, "budget.epochs=4", "method.optim.warmup=0"),
    varied=(
        tuple(f"checkpoint.system.order={order}" for order in ("pre", "post")),
        tuple(f"checkpoint.system.layers={layers}" for layers in (2, 6, 12)),
        tuple(f"method.optim.learning_rate={rate}" for rate in ("3e-4", "1e-3", "3e-3")),
    ),
)
bare = replace(runs, methods=("majority", "surface"), settings=(ROWS,), varied=())
dealt = replace(runs, varied=(), control="shuffled")  # with the recipe's order, depth and rate
table = BenchmarkTable(benchmarks=(Benchmark(data="R8", runs=(runs, bare, dealt)),))
