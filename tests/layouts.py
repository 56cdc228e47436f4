"""What the tests of models that are spread over processes start as one program in each of two processes.

    torchrun --nproc-per-node 2 layouts.py FOLDER KIND…

Every kind is trained with the whole model in each process, and again with the model spread; the first process writes
what is left of both to FOLDER.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tiny
from accelerate import PartialState
from interrupted import Killed
from told import Told
from torch.distributed.fsdp import FSDPModule

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
    snapshots,
)
from finetune.data.toy import ToyPairs
from finetune.keeper import RunKeeper
from finetune.masters import Masters
from finetune.session import session
from finetune.signals import Stopped
from finetune.state import State
from finetune.transformer.systems.recurrent import Recurrent
from finetune.transformer.systems.transformer import Transformer
from finetune.transformer.tokenizers.words import Words
from finetune.zero import ASKED, RESHARD, VERSION

SYSTEMS = {
    "rnn": Recurrent(width=32, layers=2, cell="rnn"),
    "lstm": Recurrent(width=32, layers=2),
    "transformer": Transformer(width=32),
}
LAST = 6  # updates before a run is stopped: in its second epoch, when there is a best one already


@contextmanager
def spread(reshard: str = "true") -> Iterator[None]:
    """What accelerate sets where its file asks for FSDP2."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {ASKED: "true", VERSION: "2", RESHARD: reshard}.items():
            patch.setenv(name, value)
        yield


LAYOUTS = {"whole": nullcontext, "spread": spread, "stage-2": partial(spread, "false")}


@contextmanager
def killed() -> Iterator[None]:
    """Both processes end once the snapshot of an update is there."""
    after = RunKeeper.after

    def ends(self: RunKeeper, state: State, wanted: int) -> None:
        after(self, state, wanted)
        if state.count.step == LAST:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunKeeper, "after", ends)
        with pytest.raises(Killed):
            yield


@contextmanager
def asked() -> Iterator[None]:
    """One of them is asked to stop."""
    wants = RunKeeper.wants

    def asks(self: RunKeeper, step: int) -> int:
        return signal.SIGTERM if step == LAST and not self.writes else wants(self, step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunKeeper, "wants", asks)
        with pytest.raises(Stopped):
            yield


@contextmanager
def full_disk() -> Iterator[None]:
    """There is no room for more than a tensor of a snapshot."""

    def written(_: Path, tensors: Iterator[object]) -> Iterator[Path]:
        next(tensors)
        raise OSError("no room")
        yield

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshots, "_written", written)
        yield


def recipe(kind: str, folder: Path) -> Recipe:
    """A kind is what is trained, how, and in which format: bert-full, gpt2-lora-bfloat16, marian-writes."""
    family, how, *precision = kind.split("-")
    budget = Budget(epochs=2, batch_size=16, micro_batch=3, snapshot_every=3)
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


def held(recipe: Recipe) -> dict[str, object]:
    """Of a spread model: the numbers that this process has of weights, and of masters; and those of the whole.

    And how many blocks are whole after a forward pass at each stage.
    """
    here = session(recipe)
    module = recipe.method.trainee(here.material()).module
    seen: dict[str, object] = {"whole": sum(parameter.numel() for parameter in module.parameters())}
    for name in ("stage-2", "spread"):
        with LAYOUTS[name]():
            layout = sharded.Sharded(module, here.accelerator)
        layout(**here.examples()["train"].batch(np.arange(2)).inputs)
        groups = [each._get_fsdp_state()._fsdp_param_group for each in layout.module.modules() if is_block(each)]  # pyright: ignore
        seen[name] = sum(not each.is_sharded for each in groups if each is not None)
        for each in layout.module.modules():
            if isinstance(each, FSDPModule):
                each.reshard()
        masters = Masters(recipe.method.optim.groups(layout.module), recipe.method.optim.build, {}, layout)
        seen["weights"] = sum(layout.here(each).numel() for each in layout.module.parameters())
        seen["masters"] = sum(each.numel() for each in masters.masters)
    return seen


def is_block(module: object) -> bool:
    return isinstance(module, FSDPModule) and type(module).__name__.endswith("Layer")


def main(folder: Path, kinds: list[str]) -> None:
    """Folders are named by the layout, or by the layout of the first updates and that of the rest."""
    for kind in kinds:
        for name in ("whole", "spread"):
            with LAYOUTS[name]():
                run(recipe(kind, folder), out=folder / kind / name)
    first, folder = recipe(kinds[0], folder), folder / kinds[0]
    with LAYOUTS["stage-2"]():
        run(first, out=folder / "stage-2")
    with spread(), full_disk():
        run(first, out=folder / "full-disk")
    patient = replace(first, budget=replace(first.budget, patience=2))
    for name in ("whole", "spread"):
        with LAYOUTS[name]():
            run(patient, out=folder / f"patient-{name}")
    for name, other, stopped in (
        ("whole", "spread", killed),
        ("spread", "whole", killed),
        ("spread", "spread", asked),
    ):
        told, out = Told(), folder / f"{name}-{other}"
        with LAYOUTS[name](), stopped():
            run(patient, out=out)
        with LAYOUTS[other]():
            run(patient, out=out, progress=told)
        assert f"goes on after update {LAST}" in told.lines, told.lines
    (folder / f"rank-{PartialState().process_index}.json").write_text(json.dumps(held(first)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
    PartialState().destroy_process_group()
