"""The label of the nearest: by angle, by number, and of as many by nearness."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from finetune import neighbours
from finetune.neighbours import nearest


def test_it_is_scikit_learns_of_the_same_features() -> None:
    rng = np.random.default_rng(0)
    labels_M = rng.integers(4, size=300)
    centres = rng.normal(size=(4, 16))
    known_ME = (centres[labels_M] + rng.normal(size=(300, 16)) * 2).astype(np.float32)
    asked_NE = (centres[rng.integers(4, size=200)] + rng.normal(size=(200, 16)) * 2).astype(np.float32)
    scaled = StandardScaler().fit(known_ME)
    expected = KNeighborsClassifier(1, metric="cosine").fit(scaled.transform(known_ME), labels_M)
    found_N = nearest(torch.from_numpy(known_ME), labels_M, torch.from_numpy(asked_NE), 1)
    assert (found_N == expected.predict(scaled.transform(asked_NE))).mean() > 0.99


def test_most_of_them_decide_and_of_as_many_the_nearer() -> None:
    angles = torch.tensor([0.0, 0.3, 0.4])
    half_ME = torch.stack([angles.cos(), angles.sin()], dim=1)
    known_ME = torch.cat([half_ME, -half_ME])  # mean 0 already
    asked_NE = known_ME[:1]
    assert nearest(known_ME, np.array([0, 1, 1, 2, 2, 2]), asked_NE, 3).tolist() == [1]
    assert nearest(known_ME, np.array([1, 0, 2, 2, 2, 2]), asked_NE, 2).tolist() == [1]


def test_a_feature_that_never_varies_is_no_trouble_and_fewer_examples_than_neighbours_are_all_asked() -> None:
    known_ME = torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
    found = nearest(known_ME, np.array([0, 1, 1]), torch.tensor([[1.0, 1.5]]), 99)
    assert found.tolist() == [1]


def test_a_portion_is_told_as_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    known_ME = torch.from_numpy(rng.normal(size=(50, 4))).float()
    labels_M = rng.integers(3, size=50)
    whole = nearest(known_ME, labels_M, known_ME, 5)
    monkeypatch.setattr(neighbours, "PORTION", 7)
    assert nearest(known_ME, labels_M, known_ME, 5).tolist() == whole.tolist()
