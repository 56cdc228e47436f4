"""A checkpoint's own attention computed by our kernel: the same numbers and gradients as transformers' own code."""

from __future__ import annotations

import copy

import pytest
import tiny
import torch
from transformers import AutoModel

from finetune import InputError
from finetune.attention import interface

CPU = torch.device("cpu")


def passed(family: str, attention: str, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """The last states of the real tokens of three examples, and the gradients of all weights."""
    interface.register()
    config = copy.deepcopy(tiny.CONFIGS[family])
    torch.manual_seed(0)
    model = AutoModel.from_config(config, attn_implementation=attention).eval().to(dtype)
    if family in tiny.IMAGE_FAMILIES:
        states = model(pixel_values=torch.randn(3, 3, 16, 16, dtype=dtype)).last_hidden_state
        real = torch.ones(states.shape[:2], dtype=torch.bool)
    else:
        real = torch.arange(9) < torch.tensor([9, 4, 6])[:, None]
        states = model(input_ids=torch.randint(4, 60, (3, 9)), attention_mask=real.long()).last_hidden_state
    (states[real].float() * torch.linspace(-1, 1, 32)).sum().backward()
    gradients = {name: each.grad.float() for name, each in model.named_parameters() if each.grad is not None}
    return {"states": states[real].detach().float(), **gradients}


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)], ids=["fp32", "bf16"])
@pytest.mark.parametrize("family", tiny.CONFIGS)
def test_our_kernel_in_a_stock_model_gives_what_transformers_gives(
    family: str, dtype: torch.dtype, limit: float
) -> None:
    stock, ours = (passed(family, attention, dtype) for attention in ("eager", interface.STOCK))
    assert ours.keys() == stock.keys()
    size = max(float(each.norm()) for name, each in stock.items() if name != "states")
    for name, expected in stock.items():
        scale = float(expected.norm()) if name == "states" else size
        assert float((ours[name] - expected).norm()) < limit * scale, name


def test_the_kernel_is_ours_on_a_cpu_and_torchs_elsewhere() -> None:
    assert interface.kernel(CPU) == interface.STOCK
    assert interface.kernel(torch.device("cuda")) == "sdpa"


def test_a_stock_attention_in_a_swapped_model_refuses_to_compute() -> None:
    with pytest.raises(InputError, match="BertSelfAttention was not swapped"):
        passed("bert", interface.SWAPPED, torch.float32)
