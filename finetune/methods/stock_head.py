"""No training at all: the head that fits the checkpoint's own attention, put on a backbone whose attention is another.

N examples of a batch, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from finetune import evaluate, stats
from finetune.head import Head
from finetune.methods import Material, Trainee
from finetune.methods.frozen import Frozen
from finetune.stats import Estimate

STOCK = "stock"  # the test examples, as the checkpoint's own attention has them


@dataclass(frozen=True, kw_only=True)
class StockHead(Frozen):
    """What swapping the attention costs before anything has learned from it, and how far it moves the predictions.

    The head is fitted as `Frozen` fits it, on features of the checkpoint as it is, and meets those of the swapped one
    in validation and test. With the checkpoint's own attention it is `Frozen`.
    """

    def trainee(self, material: Material) -> Trainee:
        self.check_whole(material)  # a word's prediction moves too, but there is no record of it
        stock = super().trainee(material.stock())
        assert isinstance(stock.module, Head)
        examples = {part: each for part, each in material.examples.items() if part != "train"}
        swapped, facts = material.extraction(
            lambda: material.build(material.weights)[0], examples, stock.module.pooling, stock.module.layer
        )
        before = {STOCK: stock.examples["test"]} if "test" in stock.examples else {}
        return replace(
            stock,
            examples={**swapped, "train": stock.examples["train"], **before},
            feature_seconds=stock.feature_seconds + facts.seconds,
            feature_memory=max(stock.feature_memory, facts.peak_memory_bytes),
        )

    def scores(
        self, trainee: Trainee, material: Material, logits_NC: np.ndarray, groups_N: np.ndarray | None
    ) -> Mapping[str, Estimate]:
        if logits_NC.shape[1] == 1:  # a value is no distribution
            return {}
        stock = evaluate.predict(trainee.module, trainee.examples[STOCK], material.extraction.accelerator)
        return {"divergence": stats.mean(divergence(stock.responses, logits_NC), groups_N)}


def divergence(from_NC: np.ndarray, to_NC: np.ndarray) -> np.ndarray:
    """How far each prediction moved, in nats: Kullback and Leibler's divergence of the second from the first."""
    before_NC, after_NC = (torch.from_numpy(each).double().log_softmax(-1) for each in (from_NC, to_NC))
    return (before_NC.exp() * (before_NC - after_NC)).sum(-1).clamp(min=0.0).numpy()
