"""Why divide by √d_k: a Transformer that does and one that does not, as one head of width 128 and as eight of 16.

Run     finetune table scale
        finetune curves outputs/numbers_es/scratch-… --save scale-curves   (the folders of its 12 runs)
        finetune tables scale-curves --by study --figure outputs/figures/scale-curves.png
Expect  ten minutes on a core of an Intel Xeon: 12 runs of 34 to 62 s

The curves show what the score at the end does not: how soon each learns. Spanish numbers below a million. What happens
before any training is `finetune study scale`. Nothing published stands beside.
"""

from finetune import Benchmark, BenchmarkTable, Runs

runs = Runs(
    recipes=("numbers_es",),
    methods=("scratch",),
    seeds=3,
    settings=("data.train=8000", "checkpoint.texts.train=8000"),
    varied=(
        tuple(f"checkpoint.system.heads={heads}" for heads in (1, 8)),
        tuple(f"checkpoint.system.core={core}" for core in ("ScaledDotProduct", "Unscaled")),
    ),
)
table = BenchmarkTable(benchmarks=(Benchmark(data="Spanish numbers", runs=(runs,)),))
