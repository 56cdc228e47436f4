"""The bottleneck: exact match by the length of the source, where a vector has to hold all of it and where it has not.

Run     finetune table bottleneck
        finetune tables bottleneck --by length --figure outputs/figures/bottleneck.png   (what `--save` wrote)
Expect  a quarter of an hour on two cores of an AMD EPYC: 15 runs of 11 to 31 s an epoch

Spanish numbers below a thousand million, drawn evenly over their digits: trained on those of at most 8 words, tested on
all, which have up to 14. Systems have the same parameters (± 5 %), rows, tokens and epochs; of their own is only how
they read. Nothing published stands beside: nobody else has these rows.
"""

from finetune import Benchmark, BenchmarkTable, Runs

ROWS = ("below=1000000000", "even=true", "longest=8", "train=40000", "test=3000")

table = BenchmarkTable(
    by="length",
    benchmarks=(
        Benchmark(
            data="Spanish numbers",
            runs=(
                Runs(
                    recipes=(
                        "numbers_rnn",
                        "numbers_rnn_attention",
                        "numbers_lstm",
                        "numbers_lstm_attention",
                        "numbers_es",
                    ),
                    methods=("scratch",),
                    seeds=3,
                    # the tokenizer learns from the rows that are trained on
                    settings=tuple(f"{data}.{each}" for each in ROWS for data in ("data", "checkpoint.texts")),
                ),
            ),
        ),
    ),
)
