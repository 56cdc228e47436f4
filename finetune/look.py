"""What a model looks at: the weights of all its heads for one input, before and after fine-tuning; and its positions.

L blocks, H heads, T tokens, N positions, E model width.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from finetune.anatomy import anatomy, backbone
from finetune.attention import similarity
from finetune.attention.maps import attention_maps, entropy, rollout
from finetune.attention.positions.sinusoidal import Sinusoidal
from finetune.attention.swap import MultiHead, swap, transplants
from finetune.errors import InputError
from finetune.precision import cast
from finetune.predict import load
from finetune.progress import Silent
from finetune.recipe import Recipe
from finetune.seen import Seen
from finetune.session import Session, Setup, session

ALL = "all"
ROTARY = 512  # positions shown of a model that has no table of them and could go on


@dataclass(frozen=True, kw_only=True)
class Look:
    """What all heads looked at in one input. A layer is its number from 1, or None: each, as the mean of its heads."""

    seen: Seen
    maps_LHTT: list[Tensor]  # float32, one for each layer: (H, T, T)
    rollout_TT: Tensor

    def layer(self, wanted: str | None) -> int | None:
        """The layer that is wanted, by default the last.

        Raises:
            InputError: there is no such layer.
        """
        count = len(self.maps_LHTT)
        numbers = {str(number): number for number in range(1, count + 1)}
        if wanted not in (None, ALL, *numbers):
            raise InputError(f"--layer must be in 1 … {count}, as many as the model has, or {ALL}; got {wanted!r}")
        return None if wanted == ALL else numbers.get(wanted or "", count)

    def where(self, layer: int | None) -> str:
        count = len(self.maps_LHTT)
        return f"all {count} layers, heads averaged" if layer is None else f"layer {layer} of {count}"

    def heads(self, layer: int | None) -> dict[str, Tensor]:
        """The weights of each head by name: (T, T)."""
        if layer is None:
            return {f"layer {number}": maps_HTT.mean(0) for number, maps_HTT in enumerate(self.maps_LHTT, 1)}
        return {f"head {number}": weights_TT for number, weights_TT in enumerate(self.maps_LHTT[layer - 1], 1)}

    def panels(self, layer: int | None) -> dict[str, np.ndarray]:
        """Those of them that are drawn."""
        return {name: self.seen.panel(weights_TT) for name, weights_TT in self.heads(layer).items()}

    def rollout(self) -> np.ndarray:
        return self.seen.panel(self.rollout_TT)

    def facts(self, layer: int | None) -> list[tuple[str, float, float, str]]:
        """Each head in numbers: its entropy in bits, how far from itself it looks, and its greatest weight."""
        seen = self.seen
        return [
            (name, float(entropy(seen.looking(each))), float(seen.reach(each)), seen.greatest(each))
            for name, each in self.heads(layer).items()
        ]


def changes(before: Look, after: Look, layer: int | None) -> list[tuple[str, float, float, str]]:
    """Each head by name, those that changed most first.

    The share of a query's weight that went elsewhere, the mean absolute difference of weights, and the greatest one.
    """
    found = []
    for (name, one_TT), other_TT in zip(before.heads(layer).items(), after.heads(layer).values(), strict=True):
        moved = before.seen.looking(other_TT - one_TT).abs()
        told = before.seen.greatest(other_TT - one_TT, sign="+")
        found.append((name, float(moved.sum(-1).mean()) / 2, float(moved.mean()), told))
    return sorted(found, key=lambda change: -change[2])


@dataclass(frozen=True, kw_only=True)
class Positions:
    """How alike a checkpoint's positions are, and the waves of the paper beside them: (N, N) each."""

    own_NN: Tensor
    waves_NN: Tensor
    kind: str  # of its own: learned or rotary
    plane: tuple[int, int] | None  # rows and columns of an image's; None: those of a text

    @property
    def apart(self) -> Tensor:
        """How far apart they are (N, N), in tokens or patches."""
        return similarity.line(len(self.own_NN)) if self.plane is None else similarity.plane(*self.plane)


def opened(recipe: Recipe, progress: Silent | None = None) -> Session:
    """The recipe on this machine, with an attention that shows its weights: ours, where it has the checkpoint's own."""
    return session(replace(recipe, attention=recipe.attention or MultiHead()), progress=progress)


def untrained(here: Setup, labels: tuple[str, ...]) -> PreTrainedModel:
    """The recipe's model as every method finds it."""
    with torch.random.fork_rng(devices=[]):
        model, _ = here.model(labels, here.weights)
    return _watchable(cast(model, here.accelerator.device, here.dtype))


def finished(here: Session, folder: str | Path) -> tuple[PreTrainedModel, PreTrainedModel]:
    """The model of a finished run as it was before, and as it is.

    Raises:
        InputError: the folder holds no finished run, or one of another checkpoint than the recipe's.
    """
    predictor = load(folder, progress=here.progress)
    there = predictor.setup
    if there.weights.identity != here.weights.identity:
        theirs, ours = there.recipe.checkpoint, here.recipe.checkpoint
        raise InputError(f"{folder} is a run of {theirs}, and {here.recipe.name} is about {ours}")
    before = replace(there.recipe, attention=there.recipe.attention or MultiHead())
    return untrained(replace(there, recipe=before), predictor.labels), _watchable(predictor.module)


def look(model: PreTrainedModel, seen: Seen) -> Look:
    """The weights with which a watchable model reads an input.

    Raises:
        InputError: its attention mixes nothing by weight, or computes no numbers.
    """
    with attention_maps(model) as maps_LBHTT, torch.inference_mode():
        backbone(model)(**seen.inputs)
        shares_BTT = rollout(maps_LBHTT)
    maps_LHTT = [maps_BHTT[0].float().cpu() for maps_BHTT in maps_LBHTT]
    if not all(bool(maps_HTT.isfinite().all()) for maps_HTT in maps_LHTT):
        raise InputError("there are no weights to show, they are not numbers: did the run diverge?")
    return Look(seen=seen, maps_LHTT=maps_LHTT, rollout_TT=shares_BTT[0].float().cpu())


def positions(here: Session) -> Positions:
    """How alike the positions of a recipe's checkpoint are, and as many of the paper's waves."""
    with torch.random.fork_rng(devices=[]):
        body = backbone(here.build(here.weights)[0])
    if not anatomy(body).positions:
        raise InputError(f"architecture {body.config.model_type!r} was given its positions, it has none to look at")
    owner, _, name = anatomy(body).positions.rpartition(".")
    place, plane = getattr(body.get_submodule(owner), name), None
    if isinstance(place, nn.Embedding):
        first = 0 if place.padding_idx is None else place.padding_idx + 1  # RoBERTa's numbers begin behind its padding
        kind, own_NN = "learned", similarity.cosines(place.weight[first:])
    elif isinstance(place, Tensor):  # of an image, behind those of tokens that stand for the whole
        side = body.config.image_size // body.config.patch_size
        kind, own_NN, plane = "learned", similarity.cosines(place[0, -side * side :]), (side, side)
    else:
        numbers_1N = torch.arange(min(ROTARY, body.config.max_position_embeddings))[None]
        cos_1ND, sin_1ND = place(torch.zeros(1), numbers_1N)
        kind, own_NN = "rotary", similarity.rotary(cos_1ND[0], sin_1ND[0])
    waves_NE = Sinusoidal().encode(len(own_NN), body.config.hidden_size, 0, {}, own_NN.device)
    return Positions(own_NN=own_NN, waves_NN=similarity.cosines(waves_NE), kind=kind, plane=plane)


def _watchable(module: nn.Module) -> PreTrainedModel:
    """The model inside a predictor, with ours in it, in float32: what is compared is not to be rounding."""
    model = next(child for child in module.modules() if isinstance(child, PreTrainedModel))
    if not transplants(model):
        swap(model, MultiHead())
    return cast(model, next(model.parameters()).device, torch.float32).eval()
