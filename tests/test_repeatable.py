"""What has no kernel that adds in one order on a GPU, done in another way: the same numbers and gradients."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F
from transformers import AutoModel

from finetune import InputError, repeatable

CUDA = torch.device("cuda")  # nothing is computed there


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


def test_of_one_size_both_sides_are_that_and_bfloat16_is_rounded_once() -> None:
    images_NCHW = torch.randn(1, 2, 9, 5)
    expected_NChw = F.interpolate(images_NCHW, size=7, mode="bicubic")
    assert torch.allclose(repeatable.bicubic(images_NCHW, size=7), expected_NChw, atol=1e-5)
    coarse_NCHW = images_NCHW.to(torch.bfloat16)
    expected_NChw = F.interpolate(coarse_NCHW.float(), size=7, mode="bicubic").to(torch.bfloat16)
    assert torch.equal(repeatable.bicubic(coarse_NCHW, size=7), expected_NChw)


def test_on_a_cpu_nothing_is_set() -> None:
    with repeatable.repeatable(torch.device("cpu")):
        assert not torch.are_deterministic_algorithms_enabled()


def test_on_a_gpu_one_order_is_asked_for_and_afterwards_all_is_as_it_was() -> None:
    filling: Any = torch.utils.deterministic
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with repeatable.repeatable(CUDA):
            with pytest.raises(KeyError), repeatable.repeatable(CUDA):
                raise KeyError
            assert torch.are_deterministic_algorithms_enabled()
            assert not torch.is_deterministic_algorithms_warn_only_enabled()
            assert not filling.fill_uninitialized_memory
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        assert filling.fill_uninitialized_memory
    finally:
        torch.use_deterministic_algorithms(False)


def test_a_workspace_that_has_cublas_add_in_any_order_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":0:0")
    told = r"CUBLAS_WORKSPACE_CONFIG must be :4096:8 or :16:8, else a GPU adds in any order; got ':0:0'"
    with pytest.raises(InputError, match=told), repeatable.repeatable(CUDA):
        pass
    assert not torch.are_deterministic_algorithms_enabled()


def test_the_workspace_is_set_before_anything_of_ours_can_multiply() -> None:
    without = {name: value for name, value in os.environ.items() if name != "CUBLAS_WORKSPACE_CONFIG"}
    code = "import os, finetune; finetune.run; print(os.environ['CUBLAS_WORKSPACE_CONFIG'])"
    done = subprocess.run([sys.executable, "-c", code], env=without, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ":4096:8"
