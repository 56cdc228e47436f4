"""What the tests of several processes start as one program: `processes.py FOLDER CHECKPOINT`, alone or by a launcher.

Each process' file `rank-<n>.json` says what it has seen; the runs' folders hold the rest.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import PartialState
from transformers import BertForSequenceClassification

from finetune import AdamW, Budget, Classification, Full, Local, LoRA, MultiHead, Recipe, evaluate, exchange, run
from finetune.attention.cores.uniform import Uniform
from finetune.augmentations.drop_tokens import DropTokens
from finetune.data.toy import ToyText
from finetune.encode import Subset
from finetune.keeper import RunKeeper
from finetune.outputs import RunFolder
from finetune.session import session

COUNTS = (0, 1, 2, 3, 7, 9, 10, 11)  # rows to predict
MICRO = (None, 3, 1)  # examples in a forward pass
DRAWN = (None, 1)  # likewise, where examples are drawn anew in each epoch
FITS = 3  # examples that the last process has memory for, where it runs short
WAYS = ("forward", "backward")  # in which it does
CALM = 12  # updates before losses are odd
ODD = {"no number": math.nan, "far above": 1e4}  # what is added to the last process' losses then


def recipe(checkpoint: str, micro: int | None) -> Recipe:
    """Twenty updates without dropout; the last of each epoch has six examples, the others sixteen."""
    return Recipe(
        name="toy",
        checkpoint=Local(checkpoint),
        data=ToyText(),
        task=Classification(),
        method=LoRA(optim=AdamW(learning_rate=1e-3), targets=("query", "value", "mlp")),
        budget=Budget(epochs=5, batch_size=16, micro_batch=micro, snapshot_every=7),
        precision="float32",
    )


@contextmanager
def short_of_memory(way: str) -> Iterator[None]:
    """The last process runs out of memory; on the way back it does when the gradients of the upper half are sent."""
    forward = BertForSequenceClassification.forward

    def fails(*_: Any) -> None:
        raise MemoryError

    def runs_out(self: Any, **inputs: Any) -> Any:
        if not torch.is_grad_enabled() or len(inputs["input_ids"]) <= FITS:
            return forward(self, **inputs)
        if way == "forward":
            raise MemoryError
        between = self.bert.encoder.layer[0].register_forward_hook(
            lambda *given: (given[-1][0] if isinstance(given[-1], tuple) else given[-1]).register_hook(fails) and None
        )
        try:
            return forward(self, **inputs)
        finally:
            between.remove()

    state = PartialState()
    if state.process_index < state.num_processes - 1:
        yield
        return
    BertForSequenceClassification.forward = runs_out  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
    finally:
        BertForSequenceClassification.forward = forward


@contextmanager
def diverging(what: str) -> Iterator[list[int]]:
    """The last process' losses are others once they were calm, and no gradient is; the steps that this one looks at."""
    loss, record, passes, steps = Classification.loss, RunKeeper.record, count(1), list[int]()
    state = PartialState()
    last = state.process_index == state.num_processes - 1

    def loses(*arguments: Any) -> torch.Tensor:
        return loss(*arguments) + (ODD[what] if last and next(passes) > CALM else 0.0)

    def records(self: RunKeeper, line: Any) -> None:
        steps.append(line["step"])
        record(self, line)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Classification, "loss", loses)
        patch.setattr(RunKeeper, "record", records)
        yield steps


@contextmanager
def behind() -> Iterator[None]:
    """All but the first process see the run's folder as it was before: a shared one may be remembered for a minute."""
    with pytest.MonkeyPatch.context() as patch:
        if not PartialState().is_main_process:
            for name in ("result", "finished"):
                patch.setattr(RunFolder, name, lambda _: None)
        yield


def main(out: Path, checkpoint: str) -> None:
    exchange.PORTION = 1000  # so that gradients go in several
    seen: dict[str, object] = {}
    own: dict[str, object] = {}  # what may depend on how many there are
    for micro in MICRO:
        result = run(recipe(checkpoint, micro), out=out / f"micro-{micro}")
        seen[f"scores {micro}"] = {name: score.value for name, score in result.scores.items()}
    small = recipe(checkpoint, None)
    for micro in DRAWN:
        run(replace(recipe(checkpoint, micro), augmentation=DropTokens(probability=0.3)), out=out / f"drawn-{micro}")
    for way in WAYS:
        with short_of_memory(way):
            own[way] = run(small, out=out / way).environment["micro_batch"]
    # with dropout: from its first update on as if the pieces had been so small
    drops = replace(small, method=Full(), budget=replace(small.budget, epochs=2))
    with short_of_memory("backward"):
        halved = run(drops, out=out / "halved").environment["micro_batch"]
    run(replace(drops, budget=replace(drops.budget, micro_batch=halved)), out=out / "small")
    # queries and keys that nobody looks at: no gradient comes to them
    own["unreached"] = run(replace(drops, attention=MultiHead(core=Uniform())), out=out / "unreached").status
    here = session(small)
    torch.manual_seed(0)
    trainee = here.recipe.method.trainee(here.material())
    for rows in COUNTS:
        some = Subset(trainee.examples["test"], np.arange(rows))
        predicted = evaluate.predict(trainee.module, some, here.accelerator)
        seen[f"ids {rows}"] = predicted.ids
        seen[f"outputs {rows}"] = predicted.responses.argmax(axis=-1).tolist() if rows else []
    for what in ODD:
        with diverging(what) as steps:
            long = replace(small, budget=replace(small.budget, epochs=10))
            own[what] = [run(long, out=out / what).status, steps[-1]]
    with behind():
        own["behind"] = [run(small, out=out / "behind").before is not None for _ in range(2)]
    own["processes"] = here.accelerator.num_processes
    seen["own"] = own
    (out / f"rank-{here.accelerator.process_index}.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
    PartialState().destroy_process_group()
