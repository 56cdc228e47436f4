"""What has no kernel that adds in one order on a GPU, done in another way: the same numbers and gradients."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F
from transformers import AutoModel

from finetune import repeatable


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(("size", "antialias"), [((8, 8), False), ((8, 8), True), ((50, 11), False), ((37, 37), False)])
def test_bicubic_is_torchs_and_so_is_its_gradient(size: tuple[int, int], antialias: bool, align_corners: bool) -> None:
    torch.manual_seed(0)
    images_NCHW = torch.randn(2, 3, 37, 37, requires_grad=True)
    weights_NChw = torch.randn(2, 3, *size)
    found = []
    for way in (repeatable.bicubic, lambda *args, **kwargs: F.interpolate(*args, mode="bicubic", **kwargs)):
        made_NChw = way(images_NCHW, size=size, align_corners=align_corners, antialias=antialias)
        found.append((made_NChw, *torch.autograd.grad((made_NChw * weights_NChw).sum(), images_NCHW)))
    for ours, torchs in zip(*found, strict=True):
        assert torch.allclose(ours, torchs, atol=1e-5)


def test_a_model_that_interpolates_its_positions_does_so_by_matrices(
    checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = AutoModel.from_pretrained(checkpoint("dinov2")).eval()
    pixels_NCHW = torch.randn(2, 3, 28, 20)
    asked: list[tuple[int, int]] = []
    whole = repeatable.bicubic

    def told(*args: torch.Tensor, size: tuple[int, int], **kwargs: bool) -> torch.Tensor:
        asked.append(size)
        return whole(*args, size=size, **kwargs)

    with torch.no_grad():
        before = model(pixels_NCHW).last_hidden_state
        repeatable.replace(model)
        monkeypatch.setattr(repeatable, "bicubic", told)
        after = model(pixels_NCHW).last_hidden_state
    assert asked == [(7, 5)]
    assert torch.allclose(before, after, atol=1e-5)


def test_on_a_cpu_nothing_is_set() -> None:
    with repeatable.repeatable(torch.device("cpu")):
        assert not torch.are_deterministic_algorithms_enabled()
