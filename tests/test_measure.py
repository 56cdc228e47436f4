"""What a run cost, and whether others had a hand in it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from finetune import Recipe, Result, run
from finetune.report.tables import table

# two processes that work at once on one core wait for each other, and one alone waits for nobody
WORK = """
import json, os, sys, threading, time
from finetune.measure import Waiting
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
children = int(sys.argv[1])
for _ in range(children):
    if os.fork() == 0:
        end = time.monotonic() + 3
        while time.monotonic() < end: pass
        os._exit(0)
waiting = Waiting()
end = time.process_time() + 0.4
while time.process_time() < end: pass
print(json.dumps(waiting.share))
"""


@pytest.mark.skipif(not Path("/proc/self/schedstat").is_file(), reason="this system does not tell who waits")
def test_a_process_that_shares_its_core_with_three_others_waits_for_most_of_its_time() -> None:
    said = subprocess.run([sys.executable, "-c", WORK, "3"], capture_output=True, text=True, check=True).stdout
    assert json.loads(said) > 0.5


def test_a_table_tells_which_times_are_of_a_machine_that_others_used(
    toy: Callable[[str], Recipe], tmp_path: Path
) -> None:
    result = run(toy("bert"), out=tmp_path)
    assert result.environment["waited"] is None or 0 <= result.environment["waited"] < 1
    long = replace(result, seconds={**result.seconds, "train": 60.0})

    def told(waited: float | None, one: Result = long) -> list[str]:
        notes = table([replace(one, environment={**one.environment, "waited": waited})]).notes
        return [note for note in notes if "others had the cores" in note]

    assert told(0.42) == [
        "times are too long, for others had the cores: of its time to run each of these waited up to: "
        "toy_bert full 42 %"
    ]
    assert told(0.05) == told(None) == told(0.42, result) == []  # nor of a run of a second
