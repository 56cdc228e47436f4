"""One head or many: a Transformer of one width, cut into one, two, four and eight heads.

Run     finetune table heads
        finetune tables heads --by length --figure outputs/figures/heads.png   (what `--save` wrote)
Expect  a quarter of an hour on a core of an Intel Xeon: 12 runs of 24 to 41 s an epoch

All have the same parameters and the same rows: Spanish numbers below a thousand million, trained on those of at most 8
words and tested on all. Nothing published stands beside: nobody else has these rows.
"""

from finetune import Benchmark, BenchmarkTable, Runs

# the tokenizer learns from the rows that are trained on
ROWS = tuple(
    f"{data}.{each}"
    for each in ("below=1000000000", "even=true", "longest=8", "train=12000", "test=2000")
    for data in ("data", "checkpoint.texts")
)

runs = Runs(
    recipes=("numbers_es",),
    methods=("scratch",),
    seeds=3,
    settings=ROWS,
    varied=(tuple(f"checkpoint.system.heads={heads}" for heads in (1, 2, 4, 8)),),
)
table = BenchmarkTable(by="length", benchmarks=(Benchmark(data="Spanish numbers", runs=(runs,)),))
