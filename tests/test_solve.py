"""The head that is solved for: the optimum of its loss, whoever computes it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from torch import nn

from finetune import solve
from finetune.progress import Silent


def problem(count: int = 300, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    targets_N = torch.randint(0, classes, (count,), generator=generator)
    features_NE = torch.randn(count, 12, generator=generator)
    features_NE[:, :classes] += nn.functional.one_hot(targets_N, classes)
    return features_NE, targets_N


def indicators(targets_N: torch.Tensor) -> torch.Tensor:
    return nn.functional.one_hot(targets_N, 4).float()


def solved(features_NE: torch.Tensor, targets_N: torch.Tensor, penalty: float, classes: int = 4) -> nn.Linear:
    head = nn.Linear(features_NE.shape[1], classes)
    solve.logistic(head, features_NE, targets_N, penalty, Silent())
    return head


@pytest.mark.parametrize("penalty", [1e-3, 5e-3, 1e-1])
def test_it_is_the_head_that_scikit_learn_finds(penalty: float) -> None:
    features_NE, targets_N = problem()
    head = solved(features_NE, targets_N, penalty)
    reference = LogisticRegression(C=1 / (penalty * len(targets_N)), tol=1e-8, max_iter=2000)
    reference.fit(features_NE.double().numpy(), targets_N.numpy())
    np.testing.assert_allclose(head.weight.detach().numpy(), reference.coef_, atol=3e-3)
    ours = head(features_NE).softmax(-1).detach().numpy()
    np.testing.assert_allclose(ours, reference.predict_proba(features_NE.double().numpy()), atol=2e-3)


def test_neither_a_seed_nor_the_first_weights_have_a_say() -> None:
    heads = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        heads.append(solved(*problem(), 5e-3).weight)
    assert torch.equal(*heads)


def test_portions_of_the_features_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = solved(*problem(), 5e-3).weight
    monkeypatch.setattr(solve, "PORTION", 7)
    assert (solved(*problem(), 5e-3).weight - whole).abs().max() < 1e-3


def test_a_class_that_no_row_has_is_never_predicted() -> None:
    features_NE, targets_N = problem()
    assert 4 not in solved(features_NE, targets_N, 5e-3, classes=5)(features_NE).argmax(-1)


def test_without_a_penalty_separable_classes_still_come_to_an_end() -> None:
    features_NE, targets_N = problem(20)
    head = nn.Linear(12, 4)
    passes = solve.logistic(head, features_NE, targets_N, 0.0, Silent())
    assert 1 <= passes <= solve.MOST
    assert (head(features_NE).argmax(-1) == targets_N).all()


def test_every_ridge_of_a_path_is_the_one_that_scikit_learn_finds() -> None:
    features_NE, targets_N = problem()
    features_NE = features_NE - features_NE.mean(0)
    penalties = (1e-3, 0.1, 10.0)
    weights_PCE, bias_C = solve.ridge(features_NE, targets_N, indicators, penalties)
    known_NC = nn.functional.one_hot(targets_N, 4).double().numpy()
    for weights_CE, penalty in zip(weights_PCE, penalties, strict=True):
        reference = Ridge(alpha=penalty * len(targets_N)).fit(features_NE.double().numpy(), known_NC)
        np.testing.assert_allclose(weights_CE.numpy(), reference.coef_, atol=1e-5)
        np.testing.assert_allclose(bias_C.numpy(), reference.intercept_, atol=1e-5)


def test_portions_make_no_difference_to_a_ridge(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = solve.ridge(*problem(), indicators, (0.1,))
    monkeypatch.setattr(solve, "PORTION", 7)
    assert (solve.ridge(*problem(), indicators, (0.1,))[0] - whole).abs().max() < 1e-5


@pytest.mark.parametrize(("count", "threads"), [(10, 1), (solve.PORTION + 1, 2)])
def test_few_rows_are_solved_by_one_thread_and_afterwards_there_are_as_many_as_before(
    monkeypatch: pytest.MonkeyPatch, count: int, threads: int
) -> None:
    now = [2]
    monkeypatch.setattr(torch, "get_num_threads", lambda: now[-1])
    monkeypatch.setattr(torch, "set_num_threads", now.append)
    with solve.threads_for(count):
        assert now[-1] == threads
    assert now[-1] == 2
