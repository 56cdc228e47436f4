"""Metrics: scikit-learn's formulas as `evaluate.Metric`, with nothing to download.

`evaluate.load("accuracy")` fetches a script from a hub and runs it. These classes are here, and combine with any other
metric of `evaluate` through `evaluate.combine`. `formula` is the same number without the bookkeeping, for resampling.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import datasets
import evaluate
import numpy as np
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef


class ClassMetric(evaluate.Metric):
    """A metric of predicted against true class indices; `key` names it in every result."""

    key: str

    def __init__(self, **keywords: Any) -> None:
        super().__init__(keep_in_memory=True, **keywords)  # else it writes lock files under the user's HF_HOME

    def _info(self) -> evaluate.MetricInfo:
        indices = datasets.Features({"predictions": datasets.Value("int64"), "references": datasets.Value("int64")})
        citation = "Pedregosa et al. 2011, Scikit-learn: Machine Learning in Python"
        return evaluate.MetricInfo(description=self.__doc__ or "", citation=citation, features=indices)

    def _compute(self, *, predictions: Any, references: Any) -> dict[str, float]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return {self.key: self.formula(np.asarray(references), np.asarray(predictions))}

    @staticmethod
    @abstractmethod
    def formula(targets: np.ndarray, outputs: np.ndarray) -> float: ...


class Accuracy(ClassMetric):
    """The share of examples whose class was predicted."""

    key = "accuracy"

    @staticmethod
    def formula(targets: np.ndarray, outputs: np.ndarray) -> float:
        return float(accuracy_score(targets, outputs))


class MacroF1(ClassMetric):
    """The mean over classes of the harmonic mean of precision and recall: a rare class counts as much as any."""

    key = "macro_f1"

    @staticmethod
    def formula(targets: np.ndarray, outputs: np.ndarray) -> float:
        return float(f1_score(targets, outputs, average="macro", zero_division=0))  # pyright: ignore[reportArgumentType]

    @staticmethod
    def of_confusion(counts_DCC: np.ndarray) -> np.ndarray:
        """The same score of D confusion matrices at once (rows: targets, columns: outputs), for resampling."""
        hits_DC = np.diagonal(counts_DCC, axis1=1, axis2=2)
        said_DC, true_DC = counts_DCC.sum(axis=1), counts_DCC.sum(axis=2)
        f1_DC = 2 * hits_DC / np.maximum(said_DC + true_DC, 1)
        present_DC = said_DC + true_DC > 0  # scikit-learn averages over the classes that occur
        return f1_DC.sum(axis=1) / present_DC.sum(axis=1)


class Matthews(ClassMetric):
    """Matthews' correlation of predicted and true classes (Gorodkin 2004 of more than two): 0 is what chance has."""

    key = "matthews"

    @staticmethod
    def formula(targets: np.ndarray, outputs: np.ndarray) -> float:
        if len(np.union1d(targets, outputs)) < 2:
            return 0.0  # of one class scikit-learn has that too, and warns
        return float(matthews_corrcoef(targets, outputs))

    @staticmethod
    def of_confusion(counts_DCC: np.ndarray) -> np.ndarray:
        """The same score of D confusion matrices at once (rows: targets, columns: outputs), for resampling."""
        counts_DCC = counts_DCC.astype(float)  # squares of many examples are beyond whole numbers
        hits_D, n_D = np.trace(counts_DCC, axis1=1, axis2=2), counts_DCC.sum((1, 2))
        said_DC, true_DC = counts_DCC.sum(axis=1), counts_DCC.sum(axis=2)
        common_D = hits_D * n_D - (said_DC * true_DC).sum(1)
        spread_D = np.sqrt((n_D**2 - (said_DC**2).sum(1)) * (n_D**2 - (true_DC**2).sum(1)))
        return np.divide(common_D, spread_D, out=np.zeros_like(common_D), where=spread_D > 0)  # of one class it is 0
