"""A layer norm is of each token alone, a batch norm of what is real: and one that counts padding fails on texts."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from finetune import InputError
from finetune.transformer.norms.batch import BatchNorm
from finetune.transformer.norms.layer import LayerNorm

B, T, E = 4, 6, 8
REAL_BT = torch.arange(T)[None] < torch.tensor([[6], [4], [3], [1]])


def padded(more: int) -> tuple[Tensor, Tensor]:
    """The same tokens with so many more of padding behind them, which holds something else each time."""
    torch.manual_seed(0)
    real_BTE = torch.randn(B, T, E) * REAL_BT[..., None]
    noise_BTE = 7 + torch.randn(B, T + more, E, generator=torch.Generator().manual_seed(more))
    real_BT = nn.functional.pad(REAL_BT, (0, more))
    return torch.where(real_BT[..., None], nn.functional.pad(real_BTE, (0, 0, 0, more)), noise_BTE), real_BT


def of_real(norm: nn.Module, more: int) -> Tensor:
    x_BTE, real_BT = padded(more)
    return norm(x_BTE, real_BT)[real_BT]


def test_a_masked_batch_norm_knows_nothing_of_padding() -> None:
    one, other = (BatchNorm(masked=True).build(E).train() for _ in range(2))
    assert torch.allclose(of_real(one, 0), of_real(other, 9), atol=1e-6)
    assert torch.allclose(one.mean_E, other.mean_E)  # pyright: ignore[reportArgumentType, reportCallIssue]
    found_ME = of_real(one, 0)
    assert found_ME.mean(0).abs().max() < 1e-5
    assert (found_ME.std(0, correction=0) - 1).abs().max() < 1e-3


def test_an_unmasked_batch_norm_moves_with_the_padding_and_that_is_why_texts_do_without() -> None:
    norm = BatchNorm(masked=False).build(E).train()
    assert (of_real(norm, 0) - of_real(norm, 9)).abs().max() > 0.5


def test_without_padding_both_are_torchs() -> None:
    x_BTE = torch.randn(B, T, E)
    theirs = nn.BatchNorm1d(E)
    for masked in (True, False):
        ours = BatchNorm(masked=masked).build(E).train()
        wanted = theirs.train()(x_BTE.flatten(0, 1)).view(B, T, E)
        assert torch.allclose(ours(x_BTE, None), wanted, atol=1e-5)


def test_predicting_takes_the_averages_that_training_collected() -> None:
    norm = BatchNorm(momentum=1.0).build(E).train()
    x_BTE = 3 + 2 * torch.randn(64, T, E)
    trained = norm(x_BTE, None)
    assert torch.allclose(norm.eval()(x_BTE, None), trained, atol=1e-4)
    assert torch.allclose(norm(x_BTE[:1], None), trained[:1], atol=1e-4)  # whoever else is in the batch


def test_a_batch_of_nothing_but_padding_leaves_the_averages_alone() -> None:
    norm = BatchNorm().build(E).train()
    found = norm(torch.randn(B, T, E), torch.zeros(B, T))
    assert found.isfinite().all()
    assert not norm.mean_E.any()  # pyright: ignore[reportCallIssue]


def test_a_layer_norm_is_torchs_and_of_each_token_alone() -> None:
    norm = LayerNorm().build(E)
    x_BTE, real_BT = padded(0)
    assert torch.equal(norm(x_BTE, real_BT), nn.LayerNorm(E)(x_BTE))
    assert torch.equal(of_real(norm, 0), of_real(norm, 9))


@pytest.mark.parametrize("momentum", [0.0, 1.5, -0.1])
def test_a_momentum_is_a_share(momentum: float) -> None:
    with pytest.raises(InputError, match=r"checkpoint.system.norm.momentum must be in \(0, 1\], got"):
        BatchNorm(momentum=momentum)
