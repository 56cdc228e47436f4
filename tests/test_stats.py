"""Numbers that we know by another road."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import f1_score, matthews_corrcoef

from finetune import resampling, stats
from finetune.metrics import Accuracy, MacroF1, Matthews


@pytest.mark.parametrize(("right", "n"), [(812, 872), (0, 40), (40, 40), (1, 2)])
def test_the_interval_of_a_share_is_wilsons_as_scipy_has_it(right: int, n: int) -> None:
    expected = scipy.stats.binomtest(right, n).proportion_ci(0.95, method="wilson")
    found = stats.proportion(right, n)
    assert (found.value, found.n) == (right / n, n)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_the_interval_of_a_mean_is_students() -> None:
    values = np.array([1.0, 2.0, 4.0, 9.0])
    found = stats.mean(values)
    half = 3.182446 * values.std(ddof=1) / 2  # three degrees of freedom
    assert (found.value, found.low, found.high) == pytest.approx((4.0, 4.0 - half, 4.0 + half), abs=1e-5)
    assert stats.mean(np.array([1.0])) == stats.Estimate(1.0, None, None, 1)


def test_all_right_is_not_certainty() -> None:
    found = stats.proportion(10, 10)
    assert found.value == 1.0
    assert found.low == pytest.approx(0.722, abs=1e-3)


def test_the_bootstrap_of_accuracy_is_as_wide_as_its_standard_error() -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(4, size=2000)
    outputs = np.where(rng.random(2000) < 0.8, targets, (targets + 1) % 4)

    def accuracy(counts_DCC: np.ndarray) -> np.ndarray:
        return np.trace(counts_DCC, axis1=1, axis2=2) / counts_DCC.sum(axis=(1, 2))

    share = float((targets == outputs).mean())
    found = resampling.bootstrap(targets, outputs, {"share": (share, accuracy)})["share"]
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low == pytest.approx(2 * 1.96 * math.sqrt(share * (1 - share) / 2000), rel=0.1)
    assert found.low < share < found.high


@pytest.mark.parametrize("absent", [(), (3,), (0, 4)])
@pytest.mark.parametrize(
    ("metric", "theirs"), [(MacroF1, partial(f1_score, average="macro")), (Matthews, matthews_corrcoef)]
)
def test_scores_of_a_confusion_matrix_are_scikit_learns(
    metric: type[MacroF1 | Matthews], theirs: Callable[..., float], absent: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(1)
    targets, others = (rng.choice([c for c in range(6) if c not in absent], size=300) for _ in range(2))
    outputs = np.where(rng.random(300) < 0.5, targets, others)
    counts = np.zeros((1, 6, 6), dtype=int)
    np.add.at(counts[0], (targets, outputs), 1)
    assert metric.of_confusion(counts)[0] == pytest.approx(theirs(targets, outputs), abs=1e-12)


def test_where_all_are_said_to_be_of_one_class_the_correlation_is_0_as_scikit_learn_has_it() -> None:
    assert Matthews.of_confusion(np.array([[[3, 0], [2, 0]], [[0, 0], [0, 4]]])).tolist() == [0.0, 0.0]
    assert Matthews.formula(np.array([0, 0, 1]), np.array([0, 0, 0])) == 0.0
    assert Matthews.formula(np.array([1, 1]), np.array([1, 1])) == 0.0


def test_two_scores_of_one_bootstrap_have_the_intervals_of_each_alone() -> None:
    rng = np.random.default_rng(1)
    targets, outputs = rng.integers(3, size=(2, 200))
    both = {"f1": (0.5, MacroF1.of_confusion), "correlation": (0.1, Matthews.of_confusion)}
    found = resampling.bootstrap(targets, outputs, both)
    assert found == {name: resampling.bootstrap(targets, outputs, {name: each})[name] for name, each in both.items()}
    assert found["f1"].low != found["correlation"].low


def test_one_row_has_no_interval() -> None:
    found = resampling.bootstrap(np.array([1]), np.array([1]), {"f1": (1.0, MacroF1.of_confusion)})["f1"]
    assert (found.low, found.high, found.n) == (None, None, 1)


def test_spread_of_one_run_has_no_deviation() -> None:
    assert stats.spread([0.9]) == stats.Spread(0.9, None, 1)
    assert stats.spread([0.8, 0.9]).deviation == pytest.approx(0.0707, abs=1e-4)


@pytest.mark.parametrize(("metric", "expected"), [(Accuracy, 0.75), (MacroF1, 11 / 15), (Matthews, 3**-0.5)])
def test_metrics_are_evaluate_metrics_that_need_no_network(metric: type, expected: float) -> None:
    found = metric().compute(predictions=[0, 1, 1, 0], references=[0, 1, 0, 0])
    assert found == {metric.key: pytest.approx(expected)}


def test_the_error_of_a_share_is_the_textbook_formula() -> None:
    assert stats.standard_error(0.978, 2189) == pytest.approx(0.0031, abs=5e-5)


def test_a_rate_is_of_all_units_together_with_an_interval_over_items() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        sizes = rng.integers(1, 30, size=80)
        found = stats.rate(sizes * 2.0 + rng.normal(size=80) * sizes, sizes)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 2.0 <= found.high
    assert 0.9 < covered / 300 < 0.98
    two = stats.rate(np.array([3.0, 1.0]), np.array([1, 3]))
    assert two.value == 1.0
    assert stats.rate(np.array([3.0, 1.0, 0.0]), np.array([1, 3, 0])) == two
    assert stats.rate(np.array([3.0]), np.array([2])) == stats.Estimate(1.5, None, None, 1)


def test_estimates_of_several_seeds_are_one_by_their_means() -> None:
    both = [stats.Estimate(0.2, 0.1, 0.3, 9), stats.Estimate(0.4, 0.3, 0.7, 9)]
    found = stats.averaged(both)
    assert (found.value, found.low, found.high, found.n) == pytest.approx((0.3, 0.2, 0.5, 9))
    assert stats.averaged([both[0], stats.Estimate(0.4, None, None, 9)]).low is None
