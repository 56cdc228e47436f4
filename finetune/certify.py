"""The parity certificate: measured proof that a swapped attention is in the model, and is right.

What must equal the checkpoint's own attention is compared with it; what must hold for any attention — who may look at
whom, nothing to look at, dropout, caches, LoRA, what is saved — is tried out. An intervention, a core that is not the
softmax of scaled scores, is not compared: it is meant to differ.

B batch, H heads of queries, K heads of keys and values, T queries, S keys, D head width.
"""

from __future__ import annotations

import copy
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedModel

from finetune.anatomy import backbone, blocks
from finetune.attention.cores import Core, products
from finetune.attention.masks import EVERYTHING, Both, Causal, Mask, Padding
from finetune.attention.swap import MultiHead, Transplanted, swap, transplants
from finetune.checkpoint import load_model, quiet
from finetune.errors import InputError
from finetune.methods.lora import LoRA
from finetune.precision import cast
from finetune.progress import Silent
from finetune.recipe import Recipe
from finetune.session import Session, session

EXAMPLES = 6  # of the recipe's own training rows
FLOAT32 = 1e-4  # of the greatest number there is; blocks add up what one of them rounds
GRADIENT = 1e-3


@dataclass(frozen=True)
class Check:
    """One thing that was tried."""

    name: str
    passed: bool
    measured: str


def certify(recipe: Recipe, *, progress: Silent | None = None) -> list[Check]:
    """Every check of a recipe's attention in its checkpoint, on its rows.

    Raises:
        InputError: the recipe swaps no attention.
    """
    if recipe.attention is None:
        raise InputError("there is nothing to certify: recipe.attention is the checkpoint's own; try multihead")
    progress = progress or Silent()
    here = session(recipe, progress=progress)
    with torch.random.fork_rng(devices=[]):
        pair = Pair(here, recipe.attention)
        checks = [*pair.checks()]
        progress.start("certify", len(checks), "check")
        found = []
        for check in checks:
            torch.manual_seed(0)
            found.append(check())
            progress.advance(1)
        progress.end()
    return found


class Pair:
    """A checkpoint as it is and with the attention swapped, and the rows both are tried on."""

    def __init__(self, here: Session, attention: MultiHead) -> None:
        self.here, self.attention, self.core = here, attention, attention.core
        self.exact = is_exact(attention.core)
        torch.manual_seed(0)
        self.stock, self.head = replace(here, recipe=replace(here.recipe, attention=None)).build(here.weights)
        self.ours = swap(copy.deepcopy(self.stock), attention).eval()
        self.stock.eval()
        examples = here.examples()["train"]
        order = np.argsort(examples.lengths)[: len(examples) // 2 + 1]  # short ones: a check is no benchmark
        self.batch = examples.batch(np.sort(order[:: max(1, len(order) // EXAMPLES)][:EXAMPLES]))
        self.inputs: Mapping[str, Tensor] = self.batch.inputs

    @cached_property
    def modules(self) -> list[Transplanted]:
        return transplants(self.ours)

    @cached_property
    def mask(self) -> Mask:
        """The mask that the model itself hands to the first of ours."""
        seen: list[Mask] = []
        with hooked(self.modules[:1], lambda _, mask: seen.append(mask)), torch.no_grad():
            self.ours(**self.inputs)
        return seen[0]

    @property
    def causal(self) -> bool:
        return self.modules[0].causal

    @property
    def is_text(self) -> bool:
        return "attention_mask" in self.inputs

    def checks(self) -> Iterator[Callable[[], Check]]:
        yield self.swapped
        yield self.formula
        if self.exact:
            yield self.logits
            yield self.gradients
            yield self.bfloat16
        yield self.reach
        yield self.nothing_to_look_at
        yield self.dropout
        yield self.repeatable
        if self.is_text:
            yield self.padding
        if self.causal:
            yield self.future
            yield self.cache
            yield self.generation
        yield self.maps
        yield self.lora
        yield self.checkpointing
        yield self.saved

    def swapped(self) -> Check:
        """Every block calls ours, and nothing else computes attention."""
        called: set[int] = set()
        with hooked(self.modules, lambda module, _: called.add(module.layer)), torch.no_grad():
            self.ours(**self.inputs)
        return Check(
            "swapped", len(called) == len(blocks(self.ours)), f"{len(called)} of {len(blocks(self.ours))} blocks"
        )

    def formula(self) -> Check:
        """The core against the definition, and where they differ, against the mistakes one makes."""
        if not self.exact:
            return Check("formula", True, "an intervention: not compared with the checkpoint's own")
        q, k, v = self._random(queries=7, dtype=torch.float64)
        mask = Causal() & Padding(torch.tensor([[True] * 7, [True] * 5 + [False] * 2]))
        found, _ = self.core(q, k, v, mask)
        errors = {name: greatest(found - wrong(q, k, v, mask)) for name, wrong in FORMULAS.items()}
        nearest = min(errors, key=lambda name: errors[name])
        right = next(iter(FORMULAS))
        if errors[right] < 1e-9:
            return Check("formula", True, f"off by {errors[right]:.0e}")
        named = f"as if {nearest}" if errors[nearest] < 1e-9 else "and like no mistake that is known"
        return Check("formula", False, f"off by {errors[right]:.0e}, {named}")

    def logits(self) -> Check:
        with torch.no_grad():
            stock, ours = self.stock(**self.inputs).logits, self.ours(**self.inputs).logits
        return within("logits, float32", greatest(stock - ours) / greatest(stock), FLOAT32)

    def gradients(self) -> Check:
        stock, ours = self._gradients(self.stock), self._gradients(self.ours)
        floor = 1e-4 * max(float(gradient.norm()) for gradient in stock.values())
        error = {name: float((ours[name] - g).norm()) / max(float(g.norm()), floor) for name, g in stock.items()}
        worst = max(error, key=lambda name: error[name])
        return within(f"gradients of {len(stock)} parameters", error[worst], GRADIENT, f", the worst {worst}")

    def bfloat16(self) -> Check:
        """Rounding costs no more than it costs the checkpoint's own."""
        exact = flat(self._gradients(self.stock))
        errors = {}
        for name, model in (("stock", self.stock), ("ours", self.ours)):
            rounded = cast(copy.deepcopy(model), torch.device("cpu"), torch.bfloat16)
            inputs = self.batch.to(torch.device("cpu"), torch.bfloat16).inputs
            errors[name] = float((flat(self._gradients(rounded, inputs)) - exact).norm() / exact.norm())
        passed = errors["ours"] <= 1.5 * errors["stock"] + 1e-3
        return Check(
            "gradients, bfloat16", passed, f"off by {errors['ours']:.1e}, the checkpoint's own {errors['stock']:.1e}"
        )

    def reach(self) -> Check:
        """Who looks at whom, under the model's own mask: a key's value is moved, and every context watched."""
        module, length = self.modules[0], self._length
        q, k, _ = self._random(length)
        allowed = self.mask.dense(length, length, q.device)
        allowed = torch.ones(1, 1, length, length, dtype=torch.bool) if allowed is None else allowed
        allowed_BTS = allowed[:, 0].expand(q.shape[0], length, length)
        seen = []
        for key in range(length):
            v = torch.zeros_like(k)
            v[:, :, key] = 1
            context, _ = self.core(q, k, v, self.mask, scale=module.scale, learned=self._learned)
            seen.append(context.abs().amax((1, 3)) > 1e-12)
        seen_BTS = torch.stack(seen, dim=-1)
        leaks_BTS, blind_BTS = seen_BTS & ~allowed_BTS, allowed_BTS & ~seen_BTS
        told = f"{int(allowed_BTS.sum())} pairs allowed, {int((~allowed_BTS).sum())} forbidden"
        if leaks_BTS.any():
            later = int((leaks_BTS & torch.ones(length, length).triu(1).bool()).sum())
            return Check("mask", False, f"{told}; {int(leaks_BTS.sum())} leak, {later} of them look ahead")
        if self.exact and blind_BTS.any():
            itself = int(blind_BTS.diagonal(dim1=1, dim2=2).sum())
            return Check("mask", False, f"{told}; {int(blind_BTS.sum())} not seen, {itself} of them the query's own")
        return Check(
            "mask", True, f"{told}, none leaks" + (f", {int(blind_BTS.sum())} unused" if blind_BTS.any() else "")
        )

    def nothing_to_look_at(self) -> Check:
        q, k, v = (each.requires_grad_() for each in self._random(5))
        nothing = Padding(torch.zeros(q.shape[0], 5, dtype=torch.bool))
        context, _ = self.core(q, k, v, nothing, learned=self._learned)
        context.sum().backward()
        finite = all(each.grad is None or bool(each.grad.isfinite().all()) for each in (q, k, v))
        told = f"context at most {greatest(context):.0e}, gradients {'finite' if finite else 'not finite'}"
        return Check("fully masked row", bool((context == 0).all()) and finite, told)

    def dropout(self) -> Check:
        q, k, v = (torch.zeros(64, heads, 32, 8) for heads in (2, 2, 2))
        share = 0.25
        learned = self.core.learned(16, 2, 8)
        context, _ = self.core(q, k, v + 1, dropout=share, learned=learned)
        plain, _ = self.core(q, k, v + 1, learned=learned)
        mean, spread = float(context.mean() / plain.mean()), float(context[..., 0].std() / plain.mean())
        told = f"of {share}: mean {mean:.3f} of what it was, spread {spread:.3f}"
        expected = math.sqrt(share / (1 - share) / 32)
        passed = abs(mean - 1) < 6 * expected / math.sqrt(64 * 2 * 32)
        return Check("dropout", passed and (not self.exact or abs(spread / expected - 1) < 0.1), told)

    def repeatable(self) -> Check:
        with torch.no_grad():
            one, other = self.ours(**self.inputs).logits, self.ours(**self.inputs).logits
        return Check("twice the same", torch.equal(one, other), f"differs by {greatest(one - other):.0e}")

    def padding(self) -> Check:
        """Each text alone, without padding, says what it says in the batch."""
        real_BT = self.inputs["attention_mask"].bool()
        with torch.no_grad():
            together = backbone(self.ours)(**self.inputs).last_hidden_state
            error = 0.0
            for row, real_T in enumerate(real_BT):
                alone = backbone(self.ours)(**{name: each[row : row + 1, real_T] for name, each in self.inputs.items()})
                error = max(error, greatest(alone.last_hidden_state[0] - together[row, real_T]))
        return within("padded = unpadded", error / greatest(together), FLOAT32)

    def future(self) -> Check:
        """Another last token changes nothing before it."""
        changed = dict(self.inputs)
        changed["input_ids"] = self.inputs["input_ids"].clone()
        last = self.inputs["attention_mask"].sum(1) - 1
        rows = torch.arange(len(last))
        changed["input_ids"][rows, last] = (changed["input_ids"][rows, last] + 7) % self.ours.config.vocab_size
        with torch.no_grad():
            one, other = (backbone(self.ours)(**each).last_hidden_state for each in (self.inputs, changed))
        before = torch.arange(one.shape[1])[None] < last[:, None]
        return within("the future is not seen", greatest((one - other)[before]) / greatest(one), FLOAT32)

    def cache(self) -> Check:
        """Token by token with a cache of keys and values, as all at once."""
        body, ids = backbone(self.ours), self._longest
        with torch.no_grad():
            whole = body(input_ids=ids).last_hidden_state
            states, past = [], None
            for token in ids.unbind(1):
                said = body(input_ids=token[:, None], past_key_values=past, use_cache=True)
                past = said.past_key_values
                states.append(said.last_hidden_state)
        return within("cached = whole", greatest(torch.cat(states, 1) - whole) / greatest(whole), FLOAT32)

    def generation(self) -> Check:
        """The same words with and without a cache, and where it must be, as the checkpoint's own."""
        model, _ = load_model(self.here.weights, AutoModelForCausalLM, attention=self.here.kernel)
        model.eval()
        options = {"max_new_tokens": 8, "do_sample": False, "pad_token_id": 0}
        ids = self._longest[:, :8]
        with quiet(), torch.no_grad():
            said = [model.generate(ids, attention_mask=torch.ones_like(ids), **options)] if self.exact else []  # pyright: ignore
            swap(model, self.attention)
            said += [
                model.generate(ids, attention_mask=torch.ones_like(ids), use_cache=cached, **options)  # pyright: ignore
                for cached in (True, False)
            ]
        same = all(torch.equal(said[0], each) for each in said)
        return Check("generation", same, f"{said[0].shape[1] - ids.shape[1]} tokens, {len(said)} ways")

    def maps(self) -> Check:
        sums: list[Tensor] = []
        try:
            for module in self.modules:
                module.watcher = lambda weights_BHTS: sums.append(weights_BHTS.sum(-1))
            with torch.no_grad():
                self.ours(**self.inputs)
        finally:
            for module in self.modules:
                module.watcher = None
        low, high = min(float(each.min()) for each in sums), max(float(each.max()) for each in sums)
        told = f"{len(sums)} maps, rows sum to {low:.4f} … {high:.4f}"
        return Check("attention maps", len(sums) == len(self.modules) and (not self.exact or high - low < 1e-4), told)

    def lora(self) -> Check:
        """LoRA finds as many targets as in the checkpoint's own, and all of them learn."""
        found = {}
        for name, model in (("stock", self.stock), ("ours", self.ours)):
            adapted = LoRA().prepare(copy.deepcopy(model), self.head)
            adapted(**self.inputs).logits.square().sum().backward()
            found[name] = sum(
                "lora_B" in n and p.grad is not None and bool(p.grad.any()) for n, p in adapted.named_parameters()
            )
        # no attention: its queries and keys change nothing, and so they do not learn
        passed = found["ours"] == found["stock"] if self.exact else found["ours"] > 0
        return Check("LoRA targets", passed, f"{found['ours']} learn, {found['stock']} in the checkpoint's own")

    def checkpointing(self) -> Check:
        model = copy.deepcopy(self.ours)
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
            if isinstance(module, Transplanted):
                module.dropout_share = 0.0
        model.train()
        plain = flat(self._gradients(model))
        # transformers has renamed it, and from version 6 on has the new name only
        enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        enable({"use_reentrant": False})
        with quiet():  # it says that it will do without a cache of keys
            again = flat(self._gradients(model))
        return within("gradient checkpointing", float((again - plain).norm() / plain.norm()), 1e-5)

    def saved(self) -> Check:
        """Saved, loaded and swapped again: the same logits."""
        with tempfile.TemporaryDirectory() as folder, quiet():
            self.ours.save_pretrained(folder)
            again = load_model(
                replace(self.here.weights, folder=Path(folder)), type(self.stock), attention=self.here.kernel
            )[0]
        swap(again, self.attention).eval()
        with torch.no_grad():
            error = greatest(again(**self.inputs).logits - self.ours(**self.inputs).logits)
        return Check("saved and loaded", error == 0, f"off by {error:.0e}")

    def _gradients(self, model: PreTrainedModel, inputs: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        model.zero_grad()
        logits = model(**(inputs or self.inputs)).logits.float()
        nn.functional.cross_entropy(logits, self.batch.targets).backward()
        found = {name: p.grad.detach().float() for name, p in model.named_parameters() if p.grad is not None}
        model.zero_grad()
        return found

    def _random(self, queries: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
        module = self.modules[0]
        config = self.ours.config
        shared = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        batch = len(self.batch.targets) if queries == self._length else 2
        q, k, v = (
            torch.randn(batch, heads, queries, module.head_width, dtype=dtype)
            for heads in (config.num_attention_heads, shared, shared)
        )
        return q, k, v

    @property
    def _learned(self) -> dict[str, Tensor]:
        return {name: tensor.detach().double() for name, tensor in self.modules[0].learned.items()}

    @cached_property
    def _length(self) -> int:
        with torch.no_grad():
            return backbone(self.ours)(**self.inputs).last_hidden_state.shape[1]

    @property
    def _longest(self) -> Tensor:
        mask = self.inputs["attention_mask"]
        row = int(mask.sum(1).argmax())
        return self.inputs["input_ids"][row : row + 1, mask[row].bool()]


def is_exact(core: Core) -> bool:
    """Whether a core claims to be the checkpoint's own attention: then it must be equal to it."""
    return core.exact and core.position is None


@contextmanager
def hooked(modules: list[Transplanted], tell: Callable[[Transplanted, Mask], object]) -> Iterator[None]:
    """While it lasts, each call of the modules is told, with the mask it was given."""

    def telling(module: Transplanted) -> Callable[..., Any]:
        stock = module.attend

        def attend(q_BHTD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, mask: Mask) -> Any:
            tell(module, mask)
            return stock(q_BHTD, k_BKSD, v_BKSD, mask)

        return attend

    for module in modules:
        module.attend = telling(module)
    try:
        yield
    finally:
        for module in modules:
            del module.attend


def _written(q: Tensor, k: Tensor, v: Tensor, mask: Mask, scale: float) -> Tensor:
    """The definition, written out once more."""
    group = q.shape[1] // k.shape[1]
    scores = products(q, k) * scale
    allowed = mask.dense(q.shape[2], k.shape[2], q.device)
    if allowed is not None:
        scores = scores.masked_fill(~allowed, -torch.inf)
    return scores.softmax(-1).nan_to_num(0) @ v.repeat_interleave(group, 1)


def _off_by_one(q: Tensor, k: Tensor, v: Tensor, mask: Mask) -> Tensor:
    assert isinstance(mask, Both)
    return _written(q, k, v, Causal(1) & mask.other, q.shape[-1] ** -0.5)


FORMULAS: Mapping[str, Callable[[Tensor, Tensor, Tensor, Mask], Tensor]] = {
    "it were right": lambda q, k, v, mask: _written(q, k, v, mask, q.shape[-1] ** -0.5),
    "the scores were not scaled": lambda q, k, v, mask: _written(q, k, v, mask, 1.0),
    "the mask were dropped": lambda q, k, v, _: _written(q, k, v, EVERYTHING, q.shape[-1] ** -0.5),
    "the padding were not masked": lambda q, k, v, _: _written(q, k, v, Causal(), q.shape[-1] ** -0.5),
    "the heads were transposed": lambda q, k, v, mask: (
        _written(q, k, v, mask, q.shape[-1] ** -0.5).transpose(1, 2).reshape(q.shape)
    ),
    "one position ahead were allowed": _off_by_one,
}


def greatest(x: Tensor) -> float:
    return float(x.detach().abs().max()) if x.numel() else 0.0


def flat(tensors: Mapping[str, Tensor]) -> Tensor:
    return torch.cat([each.flatten() for each in tensors.values()])


def within(name: str, error: float, limit: float, more: str = "") -> Check:
    return Check(name, error <= limit, f"off by {error:.1e} of at most {limit:.0e}{more}")
