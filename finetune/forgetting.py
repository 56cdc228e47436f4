"""What training has done to what a backbone knew: the same probe of it before and after, on rows it was not trained on.

N test rows of the reference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from finetune import language, stats
from finetune.anatomy import backbone
from finetune.cache import FEATURES, keeping, kept_dir
from finetune.data import Data
from finetune.encode import Examples
from finetune.features import Extraction
from finetune.finished import Finished
from finetune.hashing import content_key
from finetune.items import Items
from finetune.neighbours import nearest
from finetune.precision import cast
from finetune.session import Session
from finetune.shift import Language, Reference
from finetune.splits import Split

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

FORMAT = 2  # counts up when the same rows come to other numbers
NEIGHBOURS = 10
POOLING = "mean"
ROWS = Split(train_rows=1000, test_rows=1000)  # of the reference
NATS, TOKENS = "nats.npy", "tokens.npy"


def remembered(run: Finished, data: Data) -> Reference:
    """What the run's backbone says of rows of another data set, read as the run reads its own; and what it said before.

    Of texts also the loss of the next token, where the checkpoint writes text.

    Raises:
        InputError: the run reads something else.
    """
    there = run.session(data, ROWS)
    key = content_key(FORMAT, there.fetched.sha256, ROWS, NEIGHBOURS, POOLING)
    return run.kept(Reference, key, lambda: _remembered(run, there))


def _remembered(run: Finished, there: Session) -> Reference:
    examples = {part: there.examples()[part] for part in ("train", "test")}

    def pretrained() -> PreTrainedModel:
        return there.build(there.weights)[0]

    before_N = _right(there.extraction, pretrained, examples)
    body = run.recipe.method.body(run.predictor.module)
    after_N = before_N if body is None else _trained(run, there, body, examples)
    ids, groups_N = examples["test"].ids, there.groups("test")
    return Reference(
        of=there.recipe.data.title,
        train=len(examples["train"]),
        neighbours=NEIGHBOURS,
        trained=body is not None,
        before=Items.of(ids, before_N, groups_N=groups_N),
        after=Items.of(ids, after_N, groups_N=groups_N),
        language=_language(there, body, examples["test"]),
    )


def _trained(run: Finished, there: Session, body: PreTrainedModel, examples: Mapping[str, Examples]) -> np.ndarray:
    """The same with the trained backbone, whose features nobody will ask for again."""
    with TemporaryDirectory() as scratch:
        own = replace(there.extraction, folder=Path(scratch), weights=run.result.fingerprint)
        return _right(own, lambda: body, examples)


def _right(
    extraction: Extraction, build: Callable[[], PreTrainedModel], examples: Mapping[str, Examples]
) -> np.ndarray:
    """Whether the nearest neighbours have the label of each test row."""
    found, _ = extraction(build, examples, POOLING)
    train, test = found["train"], found["test"]
    return nearest(train.features_NE, train.targets, test.features_NE, NEIGHBOURS) == test.targets


def _language(there: Session, body: PreTrainedModel | None, texts: Examples) -> Language | None:
    device = there.accelerator.device
    head = language.head_of(there.weights, there.kernel, device, there.dtype)
    if head is None:
        return None
    before_N, tokens_N = _pretrained(there, head, texts)
    after_N = before_N
    if body is not None:
        after_N, _ = language.losses(body, head, texts, device, there.progress)
    groups_N = there.groups("test")
    return Language(
        before=stats.rate(before_N, tokens_N, groups_N),
        after=stats.rate(after_N, tokens_N, groups_N),
        change=stats.rate(after_N - before_N, tokens_N, groups_N),
        tokens=int(tokens_N.sum()),
    )


def _pretrained(there: Session, head: nn.Module, texts: Examples) -> tuple[np.ndarray, np.ndarray]:
    """The losses of the pretrained backbone, once for all runs."""
    extraction = there.extraction
    path = kept_dir(FEATURES) / content_key(FORMAT, "language", extraction.weights, texts.key, str(there.dtype))
    with there.accelerator.main_process_first():  # one process computes, the others read
        if not path.is_dir():
            device = there.accelerator.device
            body = cast(backbone(there.build(there.weights)[0]), device, there.dtype).eval()
            nats_N, tokens_N = language.losses(body, head, texts, device, there.progress)
            with keeping(path) as scratch:
                np.save(scratch / NATS, nats_N)
                np.save(scratch / TOKENS, tokens_N)
    return np.load(path / NATS), np.load(path / TOKENS)
