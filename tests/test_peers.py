"""Who is lost is told within bounded time and named; who is only slow, or was stopped itself, is left alone."""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage]

from finetune import InputError, cli, outputs, peers
from finetune.outputs import RunFolder
from finetune.peers import LOST, VARIABLE, Lost, Others, broken, named, silence

AFTER = 0.5  # seconds


class DistBackendError(RuntimeError):
    """Named as torch's."""


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (
            RuntimeError(
                "[../third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer [10.0.0.2]:4711"
            ),
            "another process of this run is gone, at 10.0.0.2 (connection closed by peer)",
        ),
        (
            RuntimeError("[gloo/transport/tcp/unbound_buffer.cc:78] Timed out waiting 8000ms for recv operation"),
            "another process of this run is gone (timed out)",
        ),
        (
            DistBackendError("NCCL error: remote process exited or there was a network error"),
            "another process of this run is gone (remote process exited)",
        ),
        (DistBackendError("NCCL error: invalid usage, duplicate GPU detected"), None),
        (RuntimeError("connection closed"), None),  # of something else
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), None),
    ],
)
def test_an_error_of_a_connection_between_processes_is_told_from_others(error: RuntimeError, what: str | None) -> None:
    assert broken(error) == what
    with pytest.raises(Lost if what else type(error)) as raised, named():
        raise error
    if isinstance(raised.value, Lost):
        assert raised.value.code == LOST == os.EX_TEMPFAIL
        assert raised.value.why == f"{what}; the same command goes on from the last snapshot"


def test_the_command_line_ends_with_one_line_and_a_code_that_asks_to_try_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> int:
        raise RuntimeError("gloo/pair.cc: Connection reset by peer")

    monkeypatch.setattr("finetune.commands.list.List.run", breaks)
    assert cli.main(["list"]) == LOST
    why = "another process of this run is gone (connection reset by peer)"
    again = "the same command goes on from the last snapshot"
    assert capsys.readouterr().err == f"finetune: {why}; {again}\n"


@pytest.mark.parametrize("given", ["soon", "0", "-3", "inf", "nan", ""])
def test_a_time_that_is_none_is_named(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, given)
    with pytest.raises(InputError, match=f"{VARIABLE} must be a number of seconds above 0, got '{given}'"):
        silence()


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Others, Others]]:
    """Two processes, as it were, that hear each other."""
    server = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(server.port))
    monkeypatch.setenv(VARIABLE, str(AFTER))
    found = Others(), Others()
    for rank, each in enumerate(found):
        each.meet(rank, 2)
    yield found
    for each in found:
        each._part()


def ended(one: Others, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Why it would have ended."""
    told: list[str] = []

    def end(why: str) -> None:
        told.append(why)
        one._over.set()

    monkeypatch.setattr(one, "_end", end)
    return told


def until(true: Callable[[], object]) -> None:
    started = time.monotonic()
    while not true():
        assert time.monotonic() - started < 20
        time.sleep(0.01)


def test_one_that_falls_silent_is_named(two: tuple[Others, Others], monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = two
    told = ended(one, monkeypatch)
    with one.needed():
        until(lambda: 1 in one._heard)
        other._part()
        until(lambda: told)
    line = (
        f"process 1 of 2, on {platform.node()}, was silent for 0.5 s; the same command goes on from the last snapshot"
    )
    assert told == [line]


def test_one_that_is_slow_but_lives_is_waited_for(two: tuple[Others, Others], monkeypatch: pytest.MonkeyPatch) -> None:
    one, _ = two
    told = ended(one, monkeypatch)
    with one.needed():
        time.sleep(4 * AFTER)
    assert told == []


def test_one_that_nobody_needs_any_more_may_leave(two: tuple[Others, Others], monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = two
    told = ended(one, monkeypatch)
    with one.needed():
        until(lambda: 1 in one._heard)
    other._part()
    time.sleep(3 * AFTER)
    assert told == []


def test_a_beat_that_takes_long_is_waited_for_at_the_end() -> None:
    here = Others()
    here._threads = [threading.Thread(target=time.sleep, args=(1.5,), daemon=True)]
    here._threads[0].start()
    here._part()
    assert not here._threads[0].is_alive()  # it would wake up while Python goes down, and abort the program


def test_where_the_place_to_meet_falls_silent_it_is_named_and_where_it_never_was_one_nobody_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MASTER_ADDR", "10.0.0.1")
    one = Others()
    one.rank, one.world, one.after = 1, 2, 60.0
    assert one.lost(1000.0) is None
    one._answered, one._heard, one._hosts = 900.0, {0: 900.0}, {0: "far"}
    assert one.lost(955.0) is None
    assert one.lost(1000.0) == "10.0.0.1, where the 2 processes of this run meet, was silent for 60 s"


def test_whoever_was_stopped_itself_forgives_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Others()
    one.world, one.after, one._runs = 2, 60.0, 1
    one._answered, one._heard, one._hosts = 0.0, {1: 0.0}, {1: "near"}
    told = ended(one, monkeypatch)
    looks = [0.0, 500.0, 506.0, 512.0]  # it slept from the first to the second
    monkeypatch.setattr(peers.time, "monotonic", lambda: looks.pop(0))
    monkeypatch.setattr(one._over, "wait", lambda _: not looks or bool(told))
    one._judge()
    assert told == []


@pytest.mark.parametrize(
    ("rank", "heard", "first"),
    [
        (0, {1: 100.0, 2: 0.0}, True),
        (1, {0: 100.0, 2: 0.0}, False),  # the first one lives and says it
        (1, {0: 0.0, 2: 100.0}, True),  # the first one is who is lost
    ],
)
def test_the_first_of_those_that_are_left_says_it(rank: int, heard: dict[int, float], first: bool) -> None:
    one = Others()
    one.rank, one.world, one.after, one._answered, one._heard = rank, 3, 60.0, 100.0, heard
    assert one._first(101.0) is first


@pytest.mark.parametrize("before", ["running", "failed", "stopped"])
def test_that_one_was_lost_stands_in_the_folder_unless_something_truer_does(tmp_path: Path, before: str) -> None:
    folder = RunFolder(tmp_path, "toy", "run")
    folder.path.mkdir(parents=True)
    folder.status(before)
    folder.lost("gone")
    expected = "lost" if before == "running" else before
    assert outputs.read_json(folder.path / "status.json")["state"] == expected
