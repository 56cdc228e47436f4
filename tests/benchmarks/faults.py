"""Each fault done to a small run: what it says, how it ends, and whether the same command then comes to the same bytes.

    python tests/benchmarks/faults.py

Every run is a program of its own. Writes outputs/tables/faults.md and .json; stopped, it goes on from there. What needs
a file system of its own (a full disk, one that cannot be written) is tried by root alone.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from desk import Desk, Ended, apart, come, desk, left, of_rank, status, until, weights
from ledger import Ledger, Record
from tqdm import tqdm

from finetune.hashing import content_key
from finetune.peers import VARIABLE
from finetune.report.tables import MISSING, Table

HALF = 15  # lines of the curve, of about 33
SILENCE = 5  # seconds
HEADER = ("fault", "processes", "tried", "said last", "exit code", "seconds", "same afterwards")

Make = Callable[[Desk, Path, int], Ended]  # what became of the run that it was done to; the number of the try


class NotHereError(Exception):
    """This cannot be tried on this machine."""


@dataclass(frozen=True)
class Fault:
    name: str
    make: Make
    tries: int = 1
    processes: int = 1
    more: tuple[str, ...] = ()  # settings of all its runs
    near: float | None = None  # weights may differ by so much; None: every byte is to be the same
    word: str = "finetune: "  # in the line that tells of it


def signalled(number: int, own: Desk, out: Path, attempt: int) -> Ended:
    """At a moment that nobody chose."""
    program = own.start(out)
    come(program, out, random.Random(f"{number} {attempt}").randrange(2, 28))
    os.kill(program.pid, number)
    return own.end(program, out.name, time.monotonic())


def rank_killed(own: Desk, out: Path, attempt: int) -> Ended:
    program = own.start(out, 2)
    come(program, out, HALF)
    os.kill(of_rank(program.pid, 1 - attempt), signal.SIGKILL)
    return own.end(program, out.name, time.monotonic())


def rank_stopped(own: Desk, out: Path, attempt: int) -> Ended:
    """Seconds are those until the other says so; a launcher then waits half a minute for the one that does not hear."""
    program = own.start(out, 2, environment={VARIABLE: str(SILENCE)})
    come(program, out, HALF)
    os.kill(of_rank(program.pid, 1 - attempt), signal.SIGSTOP)
    since = time.monotonic()
    until(lambda: status(out)["state"] == "lost")
    detected = time.monotonic() - since
    ended = own.end(program, out.name, since)
    return Ended(code=ended.code, said=ended.said, seconds=detected)


@contextmanager
def disk(out: Path) -> Iterator[None]:
    """A file system of the run's own.

    Raises:
        NotHereError: only root makes one.
    """
    out.mkdir()
    if (
        shutil.which("mount") is None
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(out)], capture_output=True).returncode
    ):
        raise NotHereError("root alone mounts a file system")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(out)], check=True)


def full(own: Desk, out: Path, _: int) -> Ended:
    """From the middle of the run on; then there is room again."""
    program = own.start(out)
    come(program, out, HALF)
    fill = out / "fill"
    with fill.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    ended = own.end(program, out.name, time.monotonic())
    fill.unlink()
    return ended


def read_only(own: Desk, out: Path, _: int) -> Ended:
    killed(own, out)
    subprocess.run(["mount", "-o", "remount,ro", str(out)], check=True)
    ended = own.run(out)
    subprocess.run(["mount", "-o", "remount,rw", str(out)], check=True)
    return ended


def killed(own: Desk, out: Path) -> Path:
    """A run that was killed once it had two snapshots; the newest."""
    program = own.start(out)
    come(program, out, HALF)
    program.kill()
    program.wait()
    return sorted(out.glob("*/*/snapshots/0*"))[-1]


def damaged(change: Callable[[bytearray, random.Random], bytearray], own: Desk, out: Path, attempt: int) -> Ended:
    """A file of the newest snapshot, each in its turn; what is told is what the next run says of it."""
    files = sorted(path for path in killed(own, out).iterdir())
    path = files[attempt % len(files)]
    path.write_bytes(change(bytearray(path.read_bytes()), random.Random(attempt)))
    return found(own, out)


def flipped(content: bytearray, chance: random.Random) -> bytearray:
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    return content


def cut(content: bytearray, chance: random.Random) -> bytearray:
    return content[: chance.randrange(len(content))]


def other_format(own: Desk, out: Path, _: int) -> Ended:
    """Both are of another version, and whole."""
    killed(own, out)
    for path in out.glob("*/*/snapshots/*/snapshot.json"):
        body = json.loads(path.read_text())
        del body["sha256"]
        body["format"] -= 1
        path.write_text(json.dumps({"sha256": content_key(json.dumps(body, sort_keys=True))} | body))
    return found(own, out)


def found(own: Desk, out: Path) -> Ended:
    """What the run that finds it says."""
    ended = own.run(out)
    return Ended(code=ended.code, said=ended.line(DAMAGED), seconds=None)


def diverges(own: Desk, out: Path, _: int) -> Ended:
    ended = own.run(out, more=DIVERGING)
    return Ended(code=ended.code, said=f"status {status(out)['state']}", seconds=None)


def out_of_memory(processes: int, own: Desk, out: Path, _: int) -> Ended:
    """The last process, in every forward pass of more than two examples."""
    ended = own.run(out, processes, STEADY, SHORT_OF_MEMORY=str(processes - 1))
    (path,) = out.glob("*/*/curve.jsonl")
    told = [line for line in map(json.loads, path.read_text().splitlines()) if "micro_batch" in line]
    said = ", ".join(f"{line['micro_batch']}" for line in told)
    return Ended(code=ended.code, said=f"pieces of {said} examples", seconds=None)


def second(own: Desk, out: Path, _: int) -> Ended:
    program = own.start(out, more=LONG)
    until(lambda: list(out.glob("*/*/status.json")))
    refused = own.run(out, more=LONG, name="second")
    first = own.end(program, out.name, time.monotonic())
    assert first.code == 0, first.said
    return refused


DIVERGING = ("--set", "method.optim.learning_rate=1e30")
STEADY = ("--set", "checkpoint.system.dropout=0", "--set", "budget.epochs=1")
DAMAGED = "not taken"
LONG = ("--set", "budget.epochs=150")

FAULTS = (
    Fault("SIGKILL", partial(signalled, signal.SIGKILL), tries=8),
    Fault("SIGTERM", partial(signalled, signal.SIGTERM), tries=3),
    Fault("Ctrl-C", partial(signalled, signal.SIGINT), tries=3),
    Fault("a process killed", rank_killed, tries=2, processes=2),
    Fault("a process stopped", rank_stopped, tries=2, processes=2),
    Fault("disk full", full),
    Fault("folder read-only", read_only),
    Fault("a bit of a snapshot flipped", partial(damaged, flipped), tries=4, word=DAMAGED),
    Fault("a file of a snapshot cut short", partial(damaged, cut), tries=2, word=DAMAGED),
    Fault("snapshots of another format", other_format, word=DAMAGED),
    Fault("a second run on the folder", second, more=LONG),
    Fault("loss without a number", diverges, more=DIVERGING, word="status"),
    Fault("out of memory", partial(out_of_memory, 1), more=STEADY, near=1e-6, word="pieces"),
    Fault(
        "out of memory in one process", partial(out_of_memory, 2), processes=2, more=STEADY, near=1e-6, word="pieces"
    ),
)
ON_DISK = {full, read_only}


class Whole:
    """What runs that nothing is done to leave: made when it is first asked for."""

    def __init__(self, own: Desk) -> None:
        self.own, self.made = own, dict[tuple[int, tuple[str, ...]], Path]()

    def of(self, fault: Fault) -> Path:
        key = (fault.processes, fault.more)
        if key not in self.made:
            self.made[key] = self.own.folder / f"whole-{len(self.made)}"
            self.own.run(self.made[key], *key)
        return self.made[key]


def tried(fault: Fault, own: Desk, whole: Whole) -> list[Record]:
    """A record for each try."""
    records = []
    for attempt in range(fault.tries):
        out = own.folder / f"{content_key(fault.name)[:8]}-{attempt}"
        try:
            with disk(out) if fault.make in ON_DISK else nullcontext():
                ended = fault.make(own, out, attempt)
                if not left(out):  # else it is done, and the same command would only say so
                    own.run(out, fault.processes, fault.more)
                same, far = left(out) == left(whole.of(fault)) != {}, None
                if fault.near is not None:
                    far = apart(weights(out), weights(whole.of(fault)))
                    same = far <= fault.near
        except NotHereError as reason:
            return [{"fault": fault.name, "processes": fault.processes, "not_tried": str(reason)}]
        records.append(
            {
                "fault": fault.name,
                "processes": fault.processes,
                "said": ended.line(fault.word).removeprefix("finetune: "),
                "code": ended.code if ended.code >= 0 else 128 - ended.code,
                "seconds": None if ended.seconds is None else round(ended.seconds, 2),
                "same": same,
                "apart": far,
            }
        )
    return records


def row(records: list[Record]) -> tuple[str, ...]:
    first = records[0]
    if "not_tried" in first:
        return (first["fault"], str(first["processes"]), f"no: {first['not_tried']}", *[MISSING] * 4)
    seconds = [each["seconds"] for each in records if each["seconds"] is not None]
    far = [each["apart"] for each in records if each["apart"] is not None]
    same = f"{sum(each['same'] for each in records)} of {len(records)}"
    return (
        first["fault"],
        str(first["processes"]),
        str(len(records)),
        first["said"] or MISSING,
        ", ".join(map(str, dict.fromkeys(each["code"] for each in records))),
        f"{max(seconds):.1f}" if seconds else MISSING,
        f"{same}, within {max(far):.0e}" if far else same,
    )


def page(found: list[list[Record]], about: str) -> str:
    notes = (
        "*seconds*: from the fault to the end of the run, the longest of those tried; of a stopped process until "
        "another names it; of a second run and a read-only folder from the start of the program",
        "*same afterwards*: how often the same command, given again, ended with the bytes of a run that nothing was "
        "done to: weights, predictions, curve and result; where pieces were halved, with its weights but for rounding "
        "(without the biases of keys, which change no answer)",
        f"a process counts as lost after {SILENCE} seconds of silence here, after 60 where nothing is set",
    )
    table = Table(HEADER, tuple(map(row, found)), notes)
    return f"# Faults\n\nMade by `python tests/benchmarks/faults.py`: {about}.\n\n{table.markdown()}\n"


def main() -> None:
    ledger = Ledger("faults", 1)
    with desk() as own:
        whole = Whole(own)
        for fault in (bar := tqdm(FAULTS)):
            bar.set_description(fault.name)
            ledger.measure(fault.name, partial(tried, fault, own, whole))
    found = [ledger.entries[fault.name] for fault in FAULTS]
    about = ", ".join(f"{name} {value}" for name, value in ledger.conditions.items() if name != "rounds")
    made = page(found, about)
    ledger.publish([record for records in found for record in records], made)
    print(made)


if __name__ == "__main__":
    main()
