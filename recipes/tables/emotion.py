"""Emotion, validation rows: DistilBERT with its [CLS] frozen, with LoRA and fully tuned. Needs the hub.

Run     finetune table emotion
Expect  minutes on a GPU; nobody has run it yet
"""

from finetune import Benchmark, BenchmarkTable, Published, Runs

PROBE = "public write-ups of one book chapter"
TUNED = "model card of a tuned DistilBERT"

runs = Runs(
    recipes=("distilbert_emotion",),
    methods=("majority", "surface", "frozen", "lora", "full"),
    seeds=3,
    settings=("split.validation=0.01",),  # of the train rows, which the published runs train on whole
)
table = BenchmarkTable(
    benchmarks=(
        Benchmark(
            data="Emotion",
            runs=(runs, *runs.controls("full")),
            published=(
                Published(system="majority", value=0.352, source=PROBE, reproduced_by="distilbert_emotion majority"),
                Published(
                    system="DistilBERT [CLS] frozen, logistic regression",
                    value=0.61,
                    high=0.63,
                    source=PROBE,
                    reproduced_by="distilbert_emotion frozen",
                ),
                Published(
                    system="DistilBERT full, two epochs",
                    value=0.9375,
                    source=TUNED,
                    reproduced_by="distilbert_emotion full",
                ),
            ),
        ),
    )
)
