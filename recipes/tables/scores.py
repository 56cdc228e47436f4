"""How a decoder's state and the source's are held against each other: by a dot product, or by a small network.

Run     finetune table scores
        finetune tables scores --by length --figure outputs/figures/scores.png   (what `--save` wrote)
Expect  four minutes on a core of an Intel Xeon with AMX, beside other work: 6 runs of 8 and 11 s an epoch

The LSTM of `numbers_lstm_attention` with the scores of Luong and those of Bahdanau, which have weights of their own.
The rows are those of `heads`. Nothing published stands beside: nobody else has these rows.
"""

from finetune import Benchmark, BenchmarkTable, Runs
from recipes.tables.heads import ROWS

runs = Runs(
    recipes=("numbers_lstm_attention",),
    methods=("scratch",),
    seeds=3,
    settings=ROWS,
    varied=(tuple(f"checkpoint.system.attention={score}" for score in ("Dot", "Additive")),),
)
table = BenchmarkTable(by="length", benchmarks=(Benchmark(data="Spanish numbers", runs=(runs,)),))
