"""What a linear head is fitted for: to name a class, by logistic regression, or to say a value, by ridge regression.

M and N examples, E width, V columns of what shows, C outputs: one for each class, or one that is the value.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finetune.correlation import coefficient
from finetune.neighbours import averaged, nearest
from finetune.progress import Silent
from finetune.solve import logistic, ridge, threads_for

if TYPE_CHECKING:
    from scipy.sparse import csr_array

NEVER = -1e4  # logit of a label that no training row has


class Objective(ABC):
    """A convex loss of a linear head, and the ways to its least. Targets are what rows hold: classes, or values."""

    penalties: ClassVar[tuple[float, ...]]  # to try, where none is given

    @property
    @abstractmethod
    def outputs(self) -> int:
        """How many there are."""

    @abstractmethod
    def wanted(self, targets_N: Tensor) -> Tensor:
        """The outputs (N, C) that targets ask for, where the error is squared; in float32."""

    @abstractmethod
    def solve(
        self,
        head: nn.Linear,
        features_NE: Tensor,
        targets_N: Tensor,
        penalty: float,
        progress: Silent,
        prepare: Callable[[Tensor], Tensor],
    ) -> int:
        """Give a head the weights W and bias of the least mean loss plus ½ · penalty · ‖W‖².

        Args:
            features_NE: of mean zero once prepared, in memory or on disk.

        Returns:
            Passes over the features.
        """

    @abstractmethod
    def loss(self, outputs_NC: Tensor, targets_N: Tensor) -> float:
        """The mean over examples."""

    @abstractmethod
    def score(self, outputs_NC: Tensor, targets_N: Tensor) -> float:
        """How good outputs are; 1 is the best there is."""

    @abstractmethod
    def neighbours(
        self, known_ME: Tensor, targets_M: np.ndarray, asked_NE: Tensor, targets_N: np.ndarray, count: int
    ) -> float:
        """The same of what the nearest examples have."""

    @abstractmethod
    def constant(self, targets_N: np.ndarray) -> np.ndarray:
        """The outputs (C) of the least loss that depend on no input."""

    @abstractmethod
    def of_surface(
        self, features_NV: csr_array | np.ndarray, targets_N: np.ndarray, inverse: float
    ) -> tuple[np.ndarray, np.ndarray, int]:
        """By scikit-learn, of features that may be sparse.

        Args:
            inverse: of the penalty: the larger, the closer the fit.

        Returns:
            W (C, V), the bias (C), and the iterations.
        """


@dataclass(frozen=True)
class Logistic(Objective):
    """Cross-entropy over classes."""

    classes: int

    penalties: ClassVar[tuple[float, ...]] = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)

    @property
    def outputs(self) -> int:
        return self.classes

    def wanted(self, targets_N: Tensor) -> Tensor:
        return F.one_hot(targets_N, self.classes).float()

    def solve(
        self,
        head: nn.Linear,
        features_NE: Tensor,
        targets_N: Tensor,
        penalty: float,
        progress: Silent,
        prepare: Callable[[Tensor], Tensor],
    ) -> int:
        return logistic(head, features_NE, targets_N, penalty, progress, prepare)

    def loss(self, outputs_NC: Tensor, targets_N: Tensor) -> float:
        return float(F.cross_entropy(outputs_NC, targets_N))

    def score(self, outputs_NC: Tensor, targets_N: Tensor) -> float:
        """The share that is right."""
        return float((outputs_NC.argmax(-1) == targets_N).float().mean())

    def neighbours(
        self, known_ME: Tensor, targets_M: np.ndarray, asked_NE: Tensor, targets_N: np.ndarray, count: int
    ) -> float:
        return float((nearest(known_ME, targets_M, asked_NE, count) == targets_N).mean())

    def constant(self, targets_N: np.ndarray) -> np.ndarray:
        """The logarithms of the labels' shares."""
        counts_C = np.bincount(targets_N, minlength=self.classes) + 0.5  # a label that no row has is not nothing
        return np.log(counts_C / counts_C.sum())

    def of_surface(
        self, features_NV: csr_array | np.ndarray, targets_N: np.ndarray, inverse: float
    ) -> tuple[np.ndarray, np.ndarray, int]:
        from sklearn.linear_model import LogisticRegression

        classes = np.unique(targets_N)
        columns = features_NV.shape[1]  # pyright: ignore[reportOptionalSubscript]
        weights_CV, bias_C = np.zeros((self.classes, columns)), np.full(self.classes, NEVER)
        if len(classes) == 1:
            bias_C[classes] = 0.0
            return weights_CV, bias_C, 0
        # to the bottom: as its defaults leave it, and in float32, one machine and another came two texts of 2189 apart,
        # and of pixels 0.9 points were missing
        fitted = LogisticRegression(C=inverse, tol=1e-6, max_iter=10_000).fit(features_NV.astype(np.float64), targets_N)
        found_CV, found_C = fitted.coef_, fitted.intercept_
        if len(classes) == 2:  # scikit-learn has one row for two classes
            found_CV, found_C = np.vstack([-found_CV, found_CV]) / 2, np.r_[-found_C, found_C] / 2
        weights_CV[classes], bias_C[classes] = found_CV, found_C
        return weights_CV, bias_C, int(np.max(fitted.n_iter_))


@dataclass(frozen=True)
class LeastSquares(Objective):
    """Squared error of values that are brought to mean 0 and deviation 1 first: in no unit, as the outputs are."""

    mean: float
    deviation: float

    penalties: ClassVar[tuple[float, ...]] = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0, 10.0)

    @property
    def outputs(self) -> int:
        return 1

    def wanted(self, targets_N: Tensor) -> Tensor:
        return ((targets_N.double() - self.mean) / self.deviation).float()[:, None]

    def values(self, outputs_NC: np.ndarray) -> np.ndarray:
        """What outputs say (N), in the values' unit."""
        return self.mean + self.deviation * outputs_NC[:, 0].astype(np.float64)

    def solve(
        self,
        head: nn.Linear,
        features_NE: Tensor,
        targets_N: Tensor,
        penalty: float,
        progress: Silent,
        prepare: Callable[[Tensor], Tensor],
    ) -> int:
        """In closed form."""
        progress.start("head", 1, "pass")
        with threads_for(len(targets_N)):
            (weights_CE,), bias_C = ridge(features_NE, targets_N, self.wanted, (penalty / 2,), prepare)
        with torch.no_grad():
            head.weight.copy_(weights_CE)
            head.bias.copy_(bias_C)
        progress.advance(1)
        progress.end()
        return 1

    def loss(self, outputs_NC: Tensor, targets_N: Tensor) -> float:
        return float(F.mse_loss(outputs_NC, self.wanted(targets_N)))

    def score(self, outputs_NC: Tensor, targets_N: Tensor) -> float:
        """Pearson's correlation."""
        return coefficient(targets_N.numpy(), outputs_NC[:, 0].numpy())

    def neighbours(
        self, known_ME: Tensor, targets_M: np.ndarray, asked_NE: Tensor, targets_N: np.ndarray, count: int
    ) -> float:
        return coefficient(targets_N, averaged(known_ME, targets_M, asked_NE, count))

    def constant(self, targets_N: np.ndarray) -> np.ndarray:
        """The mean."""
        return self.wanted(torch.from_numpy(targets_N)).mean(0).numpy()

    def of_surface(
        self, features_NV: csr_array | np.ndarray, targets_N: np.ndarray, inverse: float
    ) -> tuple[np.ndarray, np.ndarray, int]:
        from sklearn.linear_model import Ridge

        fitted = Ridge(alpha=1 / inverse).fit(features_NV, self.wanted(torch.from_numpy(targets_N))[:, 0].numpy())
        return np.atleast_2d(fitted.coef_), np.atleast_1d(fitted.intercept_), 1
