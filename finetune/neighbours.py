"""What the nearest examples have: what features know, without anything that is trained on them.

M examples that are known, N that are asked about, E width, K neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

PORTION = 1024  # examples told at a time
CLOSER = 1e-6  # of a vote: where labels have as many, those of nearer neighbours count more


def nearest(known_ME: Tensor, labels_M: np.ndarray, asked_NE: Tensor, count: int) -> np.ndarray:
    """The label that most of the K known examples at the smallest angle have, for each that is asked.

    Features are brought to mean 0 and deviation 1 first, as the known ones have them.
    """
    classes, given_M = int(labels_M.max()) + 1, torch.from_numpy(labels_M)
    found = []
    for closest_NK in _closest(known_ME, asked_NE, count):
        chosen_NK = given_M[closest_NK]
        votes_K = 1 + CLOSER * torch.arange(chosen_NK.shape[1], 0, -1)
        votes_NC = torch.zeros(len(chosen_NK), classes).scatter_add_(1, chosen_NK, votes_K.expand(len(chosen_NK), -1))
        found.append(votes_NC.argmax(dim=1))
    return torch.cat(found).numpy()


def averaged(known_ME: Tensor, values_M: np.ndarray, asked_NE: Tensor, count: int) -> np.ndarray:
    """The mean value of the same K known examples, for each that is asked."""
    given_M = torch.from_numpy(values_M)
    return torch.cat([given_M[each_NK].mean(dim=1) for each_NK in _closest(known_ME, asked_NE, count)]).numpy()


def _closest(known_ME: Tensor, asked_NE: Tensor, count: int) -> Iterator[Tensor]:
    """Which known examples are nearest to each of a portion of those that are asked (N, K), the nearest first."""
    mean_E, deviation_E = known_ME.mean(dim=0), known_ME.std(dim=0, correction=0)
    scale_E = torch.where(deviation_E > 1e-6, deviation_E, 1.0)
    known_ME, asked_NE = (F.normalize((each - mean_E) / scale_E) for each in (known_ME, asked_NE))
    for portion_NE in asked_NE.split(PORTION):
        order_NM = (portion_NE @ known_ME.T).sort(dim=1, descending=True, stable=True).indices
        yield order_NM[:, :count]
