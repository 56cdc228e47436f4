"""A small run as a program of its own: how it is started, how far it has come, and what it leaves."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from ledger import ROOT

EVERY = 20  # updates between snapshots
VOLATILE = {"seconds", "examples_per_second", "tokens_per_second", "peak_memory_bytes", "environment"}
# the bias of keys adds the same to every score of a query, which a softmax does not see: its gradient is rounding
# alone, and AdamW makes steps of full size of that
UNSEEN = "key.bias"
LONGEST = 300  # seconds that any of it may take

SCRIPT = f'''"""A small Transformer on made-up texts, with dropout."""
import os
from finetune import *
from finetune.cli import launch
from finetune.data.toy import ToyText
from finetune.transformer.tokenizers.words import Words

texts = ToyText(train=200)
system = TextEncoder(width=32, heads=2, layers=2, inner=64)
recipe = Recipe(name="toy", checkpoint=Blank(system=system, tokenizer=Words(), texts=texts), data=texts,
                task=Classification(), method=Scratch(), precision="float32",
                budget=Budget(epochs=10, batch_size=8, snapshot_every={EVERY}))

if os.environ.get("SHORT_OF_MEMORY") == os.environ.get("RANK", "0"):
    import torch
    from finetune.transformer import networks
    forward = networks.Classifier.forward

    def runs_out(self, input_ids, **rest):
        if torch.is_grad_enabled() and len(input_ids) > 2:
            raise MemoryError
        return forward(self, input_ids, **rest)

    networks.Classifier.forward = runs_out

if __name__ == "__main__":
    launch(__file__)
'''


@dataclass(frozen=True)
class Ended:
    """What became of one program."""

    code: int
    said: str  # all of standard error
    seconds: float | None  # since what happened; None: it had happened before

    def line(self, word: str = "") -> str:
        """The last that it said with that word in it; nothing, if it said none."""
        lines = [line.strip() for line in self.said.splitlines() if line.strip()]
        return next((line for line in reversed(lines) if word in line), "")


@dataclass(frozen=True)
class Desk:
    """A folder for programs of one recipe."""

    folder: Path

    @property
    def script(self) -> Path:
        return self.folder / "toy.py"

    def start(
        self,
        out: Path,
        processes: int = 1,
        more: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        name: str = "",
    ) -> subprocess.Popen[str]:
        """Start it. What it says on standard error goes to a file of that name, or the folder's: a pipe would fill."""
        command = [sys.executable, "-m", "finetune", "run", str(self.script), "--out", str(out), *more]
        command += [] if processes == 1 else ["--processes", str(processes)]
        own = {"FINETUNE_CACHE": str(self.folder / "cache"), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        with self.said(name or out.name).open("w") as said:
            return subprocess.Popen(
                command,
                env=os.environ | own | dict(environment or {}),
                stdout=subprocess.DEVNULL,
                stderr=said,
                text=True,
            )

    def said(self, name: str) -> Path:
        return self.folder / f"{name}.txt"

    def end(self, program: subprocess.Popen[str], name: str, since: float) -> Ended:
        """What became of it, `since` something happened."""
        code = program.wait(timeout=LONGEST)
        said = re.sub(rf"{self.folder}/[\w-]+", "OUT", self.said(name).read_text())
        said = re.sub(r"process \d+ on \S+", "process N on HOST", said)
        return Ended(code=code, said=said, seconds=time.monotonic() - since)

    def run(self, out: Path, processes: int = 1, more: Sequence[str] = (), name: str = "", **environment: str) -> Ended:
        """To the end."""
        since = time.monotonic()
        return self.end(self.start(out, processes, more, environment, name), name or out.name, since)


@contextmanager
def desk() -> Iterator[Desk]:
    with tempfile.TemporaryDirectory(prefix="finetune-desk-") as folder:
        made = Desk(Path(folder))
        made.script.write_text(SCRIPT)
        yield made


def lines(out: Path) -> int:
    """Of the curve: one for ten updates."""
    return sum(path.read_text().count("\n") for path in out.glob("*/*/curve.jsonl"))


def come(program: subprocess.Popen[str], out: Path, least: int) -> None:
    """Wait until the curve has so many lines.

    Raises:
        RuntimeError: it ended before.
    """
    until(lambda: lines(out) >= least or program.poll() is not None)
    if program.poll() is not None:
        raise RuntimeError("it ended before anything could be done to it")


def until(true: Callable[[], object]) -> None:
    """
    Raises:
        RuntimeError: it did not become so.
    """
    started = time.monotonic()
    while not true():
        if time.monotonic() - started > LONGEST:
            raise RuntimeError("what was waited for did not come")
        time.sleep(0.005)


def of_rank(launcher: int, rank: int) -> int:
    """The process of that rank that a launcher has started."""
    return next(each.pid for each in psutil.Process(launcher).children() if each.environ().get("RANK") == str(rank))


def status(out: Path) -> dict[str, Any]:
    (path,) = out.glob("*/*/status.json")
    return json.loads(path.read_text())


def left(out: Path) -> dict[str, Any]:
    """All that a run has left but for what the clock and the machine have a part in; nothing, where it is not done."""
    found = list(out.glob("*/*/result.json"))
    if not found:
        return {}
    path = found[0].parent
    files = {str(each.relative_to(path)): each.read_bytes() for each in sorted(path.rglob("*")) if each.is_file()}
    result = json.loads(files.pop("result.json"))
    del files["status.json"]
    return files | {"result": {name: value for name, value in result.items() if name not in VOLATILE}}


def weights(out: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    (path,) = out.glob("*/*/model/model.safetensors")
    return load_file(path)


def apart(one: dict[str, Any], other: dict[str, Any], *, unseen: bool = False) -> float:
    """The largest difference of two models' weights: of those that show in an answer, or of those that do not."""
    chosen = [name for name in one if name.endswith(UNSEEN) == unseen]
    return max(float((one[name] - other[name]).abs().max()) for name in chosen)
