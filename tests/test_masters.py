"""Masters: what a step is made of, and the rows of a table that training never looks up."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from finetune.masters import Masters
from finetune.optim import AdamW

OPTIM = AdamW(learning_rate=1e-2, weight_decay=0.1)
IDS = torch.tensor([[1, 4, 4], [7, 1, 9]])


def trained(dtype: torch.dtype, rows: torch.Tensor | None, clip: float = 1e9) -> nn.Embedding:
    torch.manual_seed(0)
    table = nn.Embedding(12, 5, dtype=dtype)
    masters = Masters(OPTIM.groups(table), OPTIM.build, {} if rows is None else {table.weight: rows})
    masters.collect_at_once()
    for _ in range(5):
        (table(IDS).float() ** 2).sum().backward()
        masters.step(clip, 1.0)
    masters.let_go()
    masters.unrounded()
    return table


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("clip", [1e9, 0.1])
def test_rows_that_are_looked_up_train_as_in_the_whole_table(dtype: torch.dtype, clip: float) -> None:
    rows = torch.tensor([1, 4, 7, 9])
    some, whole = trained(dtype, rows, clip).weight, trained(dtype, None, clip).weight
    assert torch.equal(some[rows], whole[rows])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rows_that_are_not_looked_up_stay_as_they_are(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    before = nn.Embedding(12, 5, dtype=dtype).weight.float()
    after = trained(dtype, torch.tensor([1, 4, 7, 9])).weight
    left = torch.tensor([0, 2, 3, 5, 6, 8, 10, 11])
    assert torch.equal(after[left], before[left])
    assert after.dtype == torch.float32


def test_moments_are_of_the_rows_looked_up_alone() -> None:
    table = nn.Embedding(1000, 8, dtype=torch.bfloat16)
    masters = Masters(OPTIM.groups(table), OPTIM.build, {table.weight: torch.arange(10)})
    masters.collect_at_once()
    table(torch.arange(10)).sum().backward()
    masters.step(1.0, 1.0)
    gradients, optimizer = masters.bytes
    assert gradients == 10 * 8 * 4
    assert optimizer < 1000 * 8 * 4 + 10 * 8 * 4 * 3 + 200  # the table, and of its rows the master and two moments


def test_gradients_are_collected_as_they_come_and_given_back_once_training_is_over() -> None:
    module = nn.Linear(3, 2, dtype=torch.bfloat16)
    masters = Masters(OPTIM.groups(module), OPTIM.build)
    masters.collect_at_once()
    for _ in range(2):
        module(torch.ones(1, 3, dtype=torch.bfloat16)).sum().backward()
        assert module.weight.grad is None
    assert masters.step(1e9, 1.0) == pytest.approx((2**2 * 6 + 2**2 * 2) ** 0.5)
    masters.let_go()
    module(torch.ones(1, 3, dtype=torch.bfloat16)).sum().backward()
    assert module.weight.grad is not None
