"""The label of the nearest examples: what features know, without anything that is trained on them.

M examples with labels, N examples without, E width, K neighbours.
"""

from __future__ import annotations

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
    mean_E, deviation_E = known_ME.mean(dim=0), known_ME.std(dim=0, correction=0)
    scale_E = torch.where(deviation_E > 1e-6, deviation_E, 1.0)
    known_ME, asked_NE = (F.normalize((each - mean_E) / scale_E) for each in (known_ME, asked_NE))
    count, classes = min(count, len(known_ME)), int(labels_M.max()) + 1
    votes_K = 1 + CLOSER * torch.arange(count, 0, -1)
    given_M = torch.from_numpy(labels_M)
    found = []
    for portion_NE in asked_NE.split(PORTION):
        order_NM = (portion_NE @ known_ME.T).sort(dim=1, descending=True, stable=True).indices
        chosen_NK = given_M[order_NM[:, :count]]
        votes_NC = torch.zeros(len(portion_NE), classes).scatter_add_(1, chosen_NK, votes_K.expand(len(chosen_NK), -1))
        found.append(votes_NC.argmax(dim=1))
    return torch.cat(found).numpy()
