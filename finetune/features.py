"""What a frozen backbone makes of every example: computed once, in eval mode without gradient, and kept on disk.

N examples of a batch, T tokens, E width, L layers: what the embeddings say, then each block.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import Tensor

from finetune import batches
from finetune.anatomy import backbone
from finetune.cache import keeping
from finetune.encode import Batch, Examples, Features, at
from finetune.errors import InputError, one_of
from finetune.hashing import content_key
from finetune.measure import PeakMemory
from finetune.precision import cast, tokens_per_pass
from finetune.progress import Silent

if TYPE_CHECKING:
    from accelerate import Accelerator
    from transformers import PreTrainedModel

FACTS = "facts.json"  # written last: where it is, everything else is
FORMAT = 6  # counts up when what is stored, or how it is computed, changes


def layers(body: PreTrainedModel, inputs: Mapping[str, Tensor], *, every: bool = True) -> tuple[Tensor, ...]:
    """(N, T, E) of each layer, the last as the backbone gives it out, after its last norm; or of that one alone."""
    if not every:
        return (body(**inputs).last_hidden_state,)
    found = body(**inputs, output_hidden_states=True)
    return (*found.hidden_states[:-1], found.last_hidden_state)


def pool(hidden_NTE: Tensor, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """One float32 vector per example: of its first token, of its last, and the mean over all that are not padding.

    Beside them those of all tokens: (N, T, E).
    """
    hidden_NTE = hidden_NTE.float()
    mask_NT = inputs.get("attention_mask", hidden_NTE.new_ones(hidden_NTE.shape[:2]))
    weight_NT1 = mask_NT.unsqueeze(-1).float()
    last_N = mask_NT.sum(dim=1).long() - 1
    return {
        "cls": hidden_NTE[:, 0],
        "mean": (hidden_NTE * weight_NT1).sum(dim=1) / weight_NT1.sum(dim=1),
        "last": hidden_NTE[torch.arange(len(last_N), device=last_N.device), last_N],
        TOKEN: hidden_NTE,
    }


POOLINGS = ("cls", "mean", "last")
TOKEN = "token"  # where words are told one by one, nothing is pooled: each has the vector of its own token
LAST = -1  # of the layers


def check_pooling(pooling: str) -> None:
    if pooling not in (*POOLINGS, TOKEN):
        raise one_of("pooling", pooling, (*POOLINGS, TOKEN))


def poolings(examples: Examples) -> tuple[str, ...]:
    """Those that there are of such examples."""
    return POOLINGS if examples.places is None else (TOKEN,)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What taking features cost, and of how large a backbone."""

    parameters: int
    seconds: float
    peak_memory_bytes: int


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """Takes features, or reads them where the same backbone has seen the same examples before."""

    folder: Path
    weights: str  # hash of the backbone and of how it is computed
    accelerator: Accelerator
    dtype: torch.dtype
    progress: Silent

    def __call__(
        self, build: Callable[[], PreTrainedModel], examples: Mapping[str, Examples], pooling: str, layer: int = LAST
    ) -> tuple[dict[str, Features], Facts]:
        """The splits as features, and what they cost when they were taken.

        The backbone is built only if something is missing, and random numbers go on as if it never were.

        Raises:
            InputError: the backbone has no such layer.
        """
        stored, facts = self.every(build, examples, among=[pooling], last=layer == LAST)
        return {name: Features(examples[name], _at(each[pooling], layer)) for name, each in stored.items()}, facts

    def every(
        self,
        build: Callable[[], PreTrainedModel],
        examples: Mapping[str, Examples],
        *,
        among: Sequence[str] = POOLINGS,
        last: bool = False,
    ) -> tuple[dict[str, dict[str, Tensor]], Facts]:
        """(L, N, E) of the splits for each pooling, or (1, N, E) of the last layer alone; and what they cost."""
        paths = {name: self.folder / self._key(split, last) for name, split in examples.items()}
        with self.accelerator.main_process_first():  # one process computes, the others read
            missing = [name for name, path in paths.items() if _read(path, among) is None]
            if missing:
                with torch.random.fork_rng(devices=[]):
                    self._extract(build(), {name: (examples[name], paths[name]) for name in missing}, last)
        stored = {name: _read(path, among) for name, path in paths.items()}
        found = {name: each[0] for name, each in stored.items() if each is not None}
        facts = [each[1] for each in stored.values() if each is not None]
        return found, Facts(
            parameters=facts[0].parameters,
            seconds=sum(fact.seconds for fact in facts),
            peak_memory_bytes=max(fact.peak_memory_bytes for fact in facts),
        )

    def _key(self, examples: Examples, last: bool) -> str:
        return content_key(FORMAT, self.weights, examples.key, str(self.dtype), *([] if last else ["every layer"]))

    def _extract(self, model: PreTrainedModel, wanted: Mapping[str, tuple[Examples, Path]], last: bool) -> None:
        body = cast(backbone(model), self.accelerator.device, self.dtype).eval()
        self.progress.start("features", sum(examples.tokens for examples, _ in wanted.values()), "tok")
        for examples, path in wanted.values():
            with keeping(path) as scratch:
                self._take(body, examples, scratch, last)
        self.progress.end()

    def _take(self, body: PreTrainedModel, examples: Examples, folder: Path, last: bool) -> None:
        with PeakMemory(self.accelerator.device, first=False) as memory:
            started = time.perf_counter()
            self._pooled(body, examples, folder, last)
        facts = Facts(
            parameters=sum(parameter.numel() for parameter in body.parameters()),
            seconds=time.perf_counter() - started,
            peak_memory_bytes=memory.bytes,
        )
        (folder / FACTS).write_text(json.dumps(asdict(facts)))

    @torch.inference_mode()
    def _pooled(self, body: PreTrainedModel, examples: Examples, folder: Path, last: bool) -> None:
        """Write a file for each pooling; vectors are on disk as soon as they are there, and then not in memory."""
        ends, total = examples.vectors.cumsum(), int(examples.vectors.sum())
        for indices in batches.sweep(examples.lengths, tokens_per_pass(self.accelerator.device)):
            multiple = batches.multiple(len(indices))
            batch = examples.batch(indices, multiple).to(self.accelerator.device, self.dtype)
            found = layers(body, batch.inputs, every=not last)
            pooled = [_vectors(hidden_NTE, batch, poolings(examples)) for hidden_NTE in found]
            own = zip(ends[indices].tolist(), examples.vectors[indices].tolist(), strict=True)
            rows = np.concatenate([np.arange(end - count, end) for end, count in own])
            for name in pooled[0]:
                vectors_LNE = torch.stack([each[name] for each in pooled])
                path = folder / f"{name}.npy"
                if path.exists():
                    stored = np.load(path, mmap_mode="r+")
                else:
                    count, _, width = vectors_LNE.shape
                    stored = open_memmap(path, "w+", dtype=np.float32, shape=(count, total, width))
                stored[:, rows] = vectors_LNE.cpu().numpy()
            self.progress.advance(int(examples.lengths[indices].sum()))


def _vectors(hidden_NTE: Tensor, batch: Batch, names: Sequence[str]) -> dict[str, Tensor]:
    """One for each example, or for each word that was read, sentence after sentence."""
    found = pool(hidden_NTE, batch.inputs)
    if TOKEN in names:
        found[TOKEN] = at(found[TOKEN], batch.targets)[batch.targets[..., 0] >= 0]
    return {name: found[name] for name in names}


def _at(stored_LNE: Tensor, layer: int) -> Tensor:
    count = len(stored_LNE)
    if not -count <= layer < count:
        raise InputError(
            f"method.layer must be from {-count} to {count - 1} of this backbone, got {layer}: 0 is what its "
            f"embeddings say, {count - 1} or -1 what its last block does"
        )
    return stored_LNE[layer]


def _read(folder: Path, poolings: Sequence[str]) -> tuple[dict[str, Tensor], Facts] | None:
    """What was stored, as it is on disk; None where nothing was, or where it is damaged: it is then taken again."""
    try:
        facts = Facts(**json.loads((folder / FACTS).read_text()))
        # nobody writes, but torch wants that one could
        found = {name: torch.from_numpy(np.load(folder / f"{name}.npy", mmap_mode="c")) for name in poolings}
    except (OSError, EOFError, TypeError, ValueError):
        return None
    return found, facts
