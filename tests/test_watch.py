"""When training is given up, and when it is not."""

from __future__ import annotations

import math

import pytest

from finetune.watch import PATIENCE, Watch


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_the_end(loss: float) -> None:
    assert Watch().diverged([1.0, loss, 1.0])


def test_ten_times_the_median_is_borne_for_twenty_updates_and_no_longer() -> None:
    watch = Watch()
    assert not watch.diverged([1.0] * 50)
    assert not watch.diverged([10.1] * (PATIENCE - 1))
    assert watch.diverged([10.1])


def test_one_good_update_among_bad_ones_starts_the_count_again() -> None:
    watch = Watch(calm=[1.0] * 50)
    for _ in range(10):
        assert not watch.diverged([20.0] * (PATIENCE - 1) + [2.0])


def test_bad_losses_do_not_become_the_measure() -> None:
    watch = Watch(calm=[1.0] * 100)
    assert not watch.diverged(([50.0] * (PATIENCE - 1) + [1.0]) * 20)
    assert max(watch.calm) == 1.0


def test_a_loss_that_falls_or_rises_slowly_is_training() -> None:
    assert not Watch().diverged([5 * 0.9**step for step in range(300)])
    assert not Watch().diverged([1.01**step for step in range(500)])
