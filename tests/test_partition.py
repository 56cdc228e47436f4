"""Two nodes that cannot reach each other any more: each says so within the time set, and nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from finetune.peers import VARIABLE

pytestmark = pytest.mark.root
MACHINE = Path(__file__).parents[1] / "recipes" / "machines" / "two_nodes.yaml"
AFTER = 6  # seconds of silence

SCRIPT = '''"""A recipe of a test."""
from finetune import *
from finetune.cli import launch
from finetune.data.toy import ToyText

recipe = Recipe(name="toy", checkpoint=Local({checkpoint!r}), data=ToyText(train=200), task=Classification(),
                method=Full(), budget=Budget(epochs=20, batch_size=8, snapshot_every=20), precision="float32")

if __name__ == "__main__":
    launch(__file__)
'''


@dataclass(frozen=True)
class Node:
    """A network namespace with one interface."""

    name: str
    rank: int
    address: str
    interface: str

    def link(self, state: str) -> None:
        ip("-n", self.name, "link", "set", self.interface, state)


def ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    if done.returncode:
        raise OSError(done.stderr.strip())


@pytest.fixture
def nodes() -> Iterator[tuple[Node, Node]]:
    if os.geteuid() or not all(map(shutil.which, ("ip", "unshare", "hostname"))):
        pytest.skip("network namespaces are made by root, with ip and unshare")
    mark = f"ft{os.getpid()}"
    one, other = (
        Node(f"{mark}{each}", rank, f"10.77.0.{rank + 1}", f"v{mark}{each}") for rank, each in enumerate("ab")
    )
    try:
        for node in (one, other):
            ip("netns", "add", node.name)
        ends = [each for node in (one, other) for each in (node.interface, "netns", node.name)]
        ip("link", "add", *ends[:3], "type", "veth", "peer", "name", *ends[3:])
        for node in (one, other):
            ip("-n", node.name, "addr", "add", f"{node.address}/24", "dev", node.interface)
            ip("-n", node.name, "link", "set", "lo", "up")
            node.link("up")
    except OSError as error:
        for node in (one, other):
            subprocess.run(["ip", "netns", "del", node.name], capture_output=True)
        pytest.skip(f"no network namespaces here: {error}")
    yield one, other
    for node in (one, other):
        subprocess.run(["ip", "netns", "del", node.name], capture_output=True)


def started(node: Node, first: Node, script: Path, out: Path) -> subprocess.Popen[str]:
    """The launcher of a node, in its namespace and with a host name of its own."""
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(MACHINE)]
    launcher += ["--num_processes", "2", "--machine_rank", str(node.rank), "--main_process_ip", first.address]
    inside = ["ip", "netns", "exec", node.name, "unshare", "-u", "sh", "-c", f'hostname {node.name}; exec "$@"', "sh"]
    environment = {"GLOO_SOCKET_IFNAME": node.interface, "OMP_NUM_THREADS": "1", VARIABLE: str(AFTER)}
    return subprocess.Popen(
        [*inside, *launcher, str(script), "--out", str(out)],
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def lines(out: Path) -> int:
    return sum(path.read_text().count("\n") for path in out.glob("*/*/curve.jsonl"))


def files(out: Path) -> dict[str, bytes]:
    (path,) = (each.parent for each in out.glob("*/*/result.json"))
    return {
        name: (path / name).read_bytes() for name in ("model/model.safetensors", "predictions.jsonl", "curve.jsonl")
    }


@pytest.mark.timeout(300)
def test_both_sides_of_a_partition_name_the_other_end_and_go_on_to_the_same_bytes_once_it_is_over(
    nodes: tuple[Node, Node], checkpoint: Callable[[str], Path], tmp_path: Path, own_cache: Path
) -> None:
    assert not own_cache.exists()
    one, other = nodes
    script, whole, out = tmp_path / "toy.py", tmp_path / "whole", tmp_path / "out"
    script.write_text(SCRIPT.format(checkpoint=str(checkpoint("bert"))))
    own = [sys.executable, "-m", "finetune", "run", str(script), "--processes", "2", "--out", str(whole)]
    subprocess.run(own, check=True, capture_output=True)

    both = [started(node, one, script, out) for node in nodes]
    while lines(out) < 15:
        assert all(each.poll() is None for each in both), both[0].communicate()[1] + both[1].communicate()[1]
        time.sleep(0.01)
    other.link("down")
    cut = time.monotonic()
    said = [each.communicate(timeout=120)[1] for each in both]
    assert time.monotonic() - cut < AFTER + 60
    assert f"finetune: process 1 of 2, on {other.name}, was silent for {AFTER} s" in said[0]
    assert f"finetune: {one.address}, where the 2 processes of this run meet, was silent for {AFTER} s" in said[1]
    (path,) = out.glob("*/*/status.json")
    assert json.loads(path.read_text())["state"] == "lost"

    other.link("up")
    both = [started(node, one, script, out) for node in nodes]
    said = [each.communicate(timeout=120)[1] for each in both]
    assert [each.returncode for each in both] == [0, 0], said[0] + said[1]
    assert "goes on after update" in said[0]
    assert files(out) == files(whole)
