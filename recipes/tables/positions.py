"""Where a word stands: a Transformer told nothing of it, by waves, by a learned table, or by distance.

Run     finetune table positions
        finetune tables positions --by length --figure outputs/figures/positions.png   (what `--save` wrote)
Expect  a quarter of an hour on a core of an Intel Xeon: 12 runs of 23 to 34 s an epoch

In the lengths that were trained and beyond them: Spanish numbers below a thousand million, trained on those of at most
8 words and tested on all, which have up to 14. A learned table has rows for positions that no training text reaches;
they stay as they were drawn. Nothing published stands beside: nobody else has these rows.
"""

from finetune import Benchmark, BenchmarkTable, Runs
from recipes.tables.heads import ROWS

KINDS = ("none", "Sinusoidal", "LearnedPositions", "T5Bias")
runs = Runs(
    recipes=("numbers_es",),
    methods=("scratch",),
    seeds=3,
    settings=ROWS,
    varied=(tuple(f"checkpoint.system.positions={kind}" for kind in KINDS),),
)
table = BenchmarkTable(by="length", benchmarks=(Benchmark(data="Spanish numbers", runs=(runs,)),))
