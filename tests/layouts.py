"""What the tests of models that are spread over processes start as one program in each of two processes.

    torchrun --nproc-per-node 2 layouts.py FOLDER KIND…

Every kind is trained with the whole model in each process, and again with the model spread; the first process writes
what is left of both to FOLDER.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import tiny
from accelerate import PartialState
from torch import Tensor

from finetune import (
    AdamW,
    Blank,
    Budget,
    Full,
    Local,
    LoRA,
    Recipe,
    Scratch,
    Summarisation,
    Translation,
    run,
    sharded,
)
from finetune.data.toy import ToyPairs
from finetune.keeper import RunKeeper
from finetune.masters import Masters
from finetune.session import session
from finetune.sharded import ASKED, RESHARD, VERSION
from finetune.transformer.systems.recurrent import Recurrent
from finetune.transformer.systems.transformer import Transformer
from finetune.transformer.tokenizers.words import Words

SYSTEMS = {
    "rnn": Recurrent(width=32, layers=2, cell="rnn"),
    "lstm": Recurrent(width=32, layers=2),
    "transformer": Transformer(width=32),
}
KILLED_AFTER = 3  # updates


class Killed(BaseException):
    """As if every process had ended there."""


@contextmanager
def spread(reshard: str = "true") -> Iterator[None]:
    """What accelerate sets where its file asks for FSDP2."""
    given = {ASKED: "true", VERSION: "2", RESHARD: reshard}
    os.environ.update(given)
    try:
        yield
    finally:
        for name in given:
            del os.environ[name]


LAYOUTS = {"whole": nullcontext, "spread": spread, "stage-2": partial(spread, "false")}


@contextmanager
def killed() -> Iterator[None]:
    """Both processes end once the snapshot of an update is there."""
    after = RunKeeper.after

    def ends(self: RunKeeper, state: object, wanted: int) -> None:
        after(self, state, wanted)  # pyright: ignore[reportArgumentType]
        if state.count.step == KILLED_AFTER:  # pyright: ignore[reportAttributeAccessIssue]
            raise Killed

    RunKeeper.after = ends  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
    except Killed:
        pass
    finally:
        RunKeeper.after = after


def recipe(kind: str, folder: Path) -> Recipe:
    """A kind is what is trained, how, and in which format: bert-full, gpt2-lora-bfloat16, marian-writes."""
    family, how, *precision = kind.split("-")
    budget = Budget(epochs=2, batch_size=16, micro_batch=3, snapshot_every=KILLED_AFTER)
    name = "bfloat16" if precision else "float32"
    if how == "scratch":
        blank = Blank(system=SYSTEMS[family], tokenizer=Words(), texts=ToyPairs())
        return Recipe(
            name="toy",
            checkpoint=blank,
            data=ToyPairs(),
            task=Translation(max_target=8),
            method=Scratch(optim=AdamW(learning_rate=1e-3)),
            budget=budget,
            precision=name,
        )
    if how == "writes":
        task = Translation(max_target=8) if family in tiny.ENCODER_DECODERS else Summarisation(max_target=8)
        written = Local(str(folder / f"{family}-writer"))
        return Recipe(
            name="toy", checkpoint=written, data=ToyPairs(), task=task, method=Full(), budget=budget, precision=name
        )
    method = {"full": Full(), "lora": LoRA(targets=("query", "value", "mlp"))}[how]
    return replace(tiny.recipe(family, folder / family), method=method, budget=budget, precision=name)


def checkpoints(kinds: list[str], folder: Path) -> None:
    for kind in kinds:
        family, how, *_ = kind.split("-")
        if how == "writes" and not (folder / f"{family}-writer").exists():
            tiny.write_writer(family, folder / f"{family}-writer")
        elif how in ("full", "lora") and not (folder / family).exists():
            tiny.write(family, folder / family)


def held(recipe: Recipe) -> tuple[int, int, int]:
    """Numbers in this process: of a spread model's weights, of its masters; and of the whole model."""
    here = session(recipe)
    module = recipe.method.trainee(here.material()).module
    whole = sum(parameter.numel() for parameter in module.parameters())
    with spread():
        layout = sharded.spread(module, here.accelerator)
    masters = Masters(recipe.method.optim.groups(layout.module), recipe.method.optim.build, {}, layout)
    shares = [layout.here(parameter) for parameter in layout.module.parameters()]
    return sum(map(Tensor.numel, shares)), sum(map(Tensor.numel, masters.masters)), whole


def main(folder: Path, kinds: list[str]) -> None:
    """Folders are named by the layout, or by the layout of the first updates and that of the rest."""
    for kind in kinds:
        for name in ("whole", "spread"):
            with LAYOUTS[name]():
                run(recipe(kind, folder), out=folder / kind / name)
    first, folder = recipe(kinds[0], folder), folder / kinds[0]
    with LAYOUTS["stage-2"]():
        run(first, out=folder / "stage-2")
    patient = replace(first, budget=replace(first.budget, patience=2))
    for name in ("whole", "spread"):
        with LAYOUTS[name]():
            run(patient, out=folder / f"patient-{name}")
    for name, other in (("whole", "spread"), ("spread", "whole"), ("spread", "spread")):
        with LAYOUTS[name](), killed():
            run(patient, out=folder / f"{name}-{other}")
        with LAYOUTS[other]():
            run(patient, out=folder / f"{name}-{other}")
    (folder / f"rank-{PartialState().process_index}.json").write_text(json.dumps(held(first)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
    PartialState().destroy_process_group()
