"""A checkpoint as it is and with its attention swapped, and the rows on which the two are tried.

B batch, H heads of queries, K heads of keys and values, T queries, S keys, D head width, E model width.
"""

from __future__ import annotations

import copy
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from finetune.anatomy import backbone
from finetune.attention.masks import Mask
from finetune.attention.swap import MultiHead, Transplanted, swap, transplants
from finetune.encode import Batch
from finetune.recipe import Recipe
from finetune.session import Session

ROWS = 64  # of the recipe's training rows, from which the examples are taken
EXAMPLES = 6
FLOAT32 = 1e-4  # of the greatest number there is; blocks add up what one of them rounds
REFERENCE = "sdpa"  # transformers' name of the code that ours is held against: none of ours
GROWN = 30  # times what rounding is measured to make where blocks do not add it up but multiply it
EXCUSED = 5e-2  # and no more: a mistake in a mask makes as much


@dataclass(frozen=True)
class Check:
    """One thing that was tried."""

    name: str
    passed: bool
    measured: str


@dataclass(frozen=True)
class Said:
    """What one pass forward and back has left."""

    logits: Tensor
    states_BTE: Tensor  # of the backbone, the last ones
    gradients: Mapping[str, Tensor]  # of every parameter that got one
    masks: Mapping[int, list[Mask]]  # by block: of each call of our attention


class Pair:
    """Both models, of which the swapped one has modules of its own around the same numbers."""

    def __init__(self, here: Session, attention: MultiHead) -> None:
        self.here, self.attention, self.core = here, attention, attention.core
        torch.manual_seed(0)
        stock = replace(here, recipe=replace(here.recipe, attention=None), kernel=REFERENCE)
        self.stock, self.head = stock.build(here.weights)
        self.stock.eval()
        self.ours = swap(twin(self.stock), attention).eval()
        self.batch = self._rows()
        self.inputs: Mapping[str, Tensor] = self.batch.inputs
        self.is_text = "attention_mask" in self.inputs
        self.modules: list[Transplanted] = transplants(self.ours)
        self.causal = self.modules[0].causal
        # whether the core claims to be the checkpoint's own attention: then it must be equal to it
        self.exact = self.core.exact and self.core.position is None

    def _rows(self) -> Batch:
        """Examples of different lengths, the shorter ones: a check is no benchmark."""
        examples = self.here.examples()["train"]
        order = np.argsort(examples.lengths)[: len(examples) // 2 + 1]
        batch = examples.batch(np.sort(order[:: max(1, len(order) // EXAMPLES)][:EXAMPLES]))
        if not batch.inputs.get("attention_mask", torch.zeros(1)).all():
            return batch
        # texts of one length: without padding nothing would be learned about it
        blank = {"input_ids": self.ours.config.pad_token_id or 0}
        padded = {name: nn.functional.pad(x, (0, 2), value=blank.get(name, 0)) for name, x in batch.inputs.items()}
        return replace(batch, inputs=padded)

    @cached_property
    def stock_said(self) -> Said:
        return self.ask(self.stock)

    @cached_property
    def ours_said(self) -> Said:
        return self.ask(self.ours)

    def ask(self, model: PreTrainedModel, batch: Batch | None = None) -> Said:
        """One pass forward and back, in eval mode: dropout would make two models differ."""
        batch, states, masks = batch or self.batch, [], defaultdict(list)
        hook = backbone(model).register_forward_hook(lambda *called: states.append(called[-1].last_hidden_state))
        with hook, watched(transplants(model), lambda module, _, mask: masks[module.layer].append(mask)):
            logits = model(**batch.inputs).logits
            (self.here.task.loss(logits, batch) / len(batch.targets)).backward()
        gradients = {name: each.grad for name, each in model.named_parameters() if each.grad is not None}
        model.zero_grad()
        return Said(logits.detach(), states[0].detach(), gradients, masks)

    def alike(self, name: str, error: float, more: str = "") -> Check:
        """Two ways of the swapped model to the same numbers, and how far they are apart."""
        if error <= FLOAT32:
            return within(name, error, FLOAT32, more)
        limit = min(max(FLOAT32, GROWN * self.rounding), EXCUSED)
        return within(name, error, limit, f"{more}; rounding alone makes {self.rounding:.1e}")

    @cached_property
    def rounding(self) -> float:
        """What rounding every context once more makes of the last states, of the greatest.

        A core that sharpens what it sees lets it grow from block to block.
        """
        with _rounded(self.modules), torch.no_grad():
            states_BTE = backbone(self.ours)(**self.inputs).last_hidden_state
        return greatest(states_BTE - self.ours_said.states_BTE) / greatest(states_BTE)

    @property
    def longest(self) -> Tensor:
        """The ids of the longest text, without padding: (1, T)."""
        mask_BT = self.inputs["attention_mask"]
        row = int(mask_BT.sum(1).argmax())
        return self.inputs["input_ids"][row : row + 1, mask_BT[row].bool()]

    def random(self, batch: int, queries: int, keys: int) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (B, H, T, D), keys and values (B, K, S, D) as the model's are, in float64."""
        config, width = self.ours.config, self.modules[0].head_width
        heads = config.num_attention_heads
        shared = getattr(config, "num_key_value_heads", None) or heads
        shapes = (batch, heads, queries, width), (batch, shared, keys, width), (batch, shared, keys, width)
        q, k, v = (torch.randn(shape, dtype=torch.float64) for shape in shapes)
        return q, k, v

    @cached_property
    def learned(self) -> Mapping[str, Tensor]:
        """What the core might have learned after a while: at first many have learned nothing, and hide what they do."""
        return {
            name: tensor.detach().double() + 0.3 * torch.randn(tensor.shape, dtype=torch.float64)
            for name, tensor in self.modules[0].learned.items()
        }


def small(recipe: Recipe) -> Recipe:
    """The recipe with no more rows than a pair is tried on."""
    split = recipe.split
    train, test = (min(rows or ROWS, ROWS) for rows in (split.train_rows, split.test_rows))
    return replace(recipe, split=replace(split, train_rows=train, test_rows=test))


def twin(model: PreTrainedModel, dtype: torch.dtype | None = None) -> PreTrainedModel:
    """The same numbers in modules and parameters of their own: in the same format they take no memory twice."""
    memory = {id(p): nn.Parameter(p.detach().to(dtype or p.dtype), p.requires_grad) for p in model.parameters()}
    return copy.deepcopy(model, memory)


@contextmanager
def watched(modules: list[Transplanted], tell: Callable[[Transplanted, Tensor, Mask], object]) -> Iterator[None]:
    """While it lasts, each call of the modules is told: module, keys, mask."""

    def attend(module: Transplanted, q_BHTD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, mask: Mask) -> Any:
        tell(module, k_BKSD, mask)
        return Transplanted.attend(module, q_BHTD, k_BKSD, v_BKSD, mask)

    with _attending(modules, attend):
        yield


def _rounded(modules: list[Transplanted]) -> AbstractContextManager[None]:
    """While it lasts, the contexts of the modules are off by about the last bit of float32."""

    def attend(module: Transplanted, *given: Any) -> Any:
        context_BTE, weights = Transplanted.attend(module, *given)
        return context_BTE * (1 + torch.randn_like(context_BTE) * 2**-23), weights

    return _attending(modules, attend)


@contextmanager
def _attending(modules: list[Transplanted], attend: Callable[..., Any]) -> Iterator[None]:
    for module in modules:
        module.attend = partial(attend, module)
    try:
        yield
    finally:
        for module in modules:
            del module.attend


def written(mask: Mask, queries: int, keys: int) -> Tensor:
    """A mask as bools that broadcast to B, H, T, S, also where it allows everything."""
    allowed = mask.dense(queries, keys, torch.device("cpu"))
    return torch.ones(1, 1, queries, keys, dtype=torch.bool) if allowed is None else allowed


def greatest(x: Tensor) -> float:
    """The greatest magnitude; of nothing, none."""
    return float(x.detach().abs().max()) if x.numel() else 0.0


def worst(errors: Mapping[str, float]) -> str:
    """The name of the greatest error; what is no number is greater than any."""
    return max(errors, key=lambda name: (math.isnan(errors[name]), errors[name]))


def whole_error(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> float:
    """How far gradients, all as one vector, are off, of its norm; one that is missing is zero."""
    off = sum(float((found[name] - each if name in found else each).norm()) ** 2 for name, each in expected.items())
    return (off / sum(float(each.norm()) ** 2 for each in expected.values())) ** 0.5


def within(name: str, error: float, limit: float, more: str = "") -> Check:
    return Check(name, error <= limit, f"off by {error:.1e} of at most {limit:.0e}{more}")
