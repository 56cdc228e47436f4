"""Where a grid is computed is not seen in its results; who is killed goes on; who fails is listed and stops nobody."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest
import torch
from told import Told

from finetune import (
    Budget,
    Classification,
    Frozen,
    Full,
    InputError,
    Local,
    LoRA,
    MultiHead,
    Recipe,
    Result,
    compare,
    remote,
    run,
)
from finetune.attention.cores import Core
from finetune.cli import main
from finetune.data.toy import ToyText
from finetune.engines import Cluster, Engine
from finetune.engines.here import Here
from finetune.engines.ray import Machine, Ray, cores
from finetune.engines.slurm import Slurm
from finetune.grid import Comparison
from finetune.methods.majority import Majority
from finetune.progress import Silent
from finetune.session import Session, session
from finetune.signals import Stopped
from finetune.tuning import tune

VOLATILE = {"seconds", "examples_per_second", "tokens_per_second", "peak_memory_bytes", "environment"}


@dataclass(frozen=True, kw_only=True)
class Near(Cluster):
    """A cluster of this process alone: what all clusters have in common, and nothing of any library."""

    library: ClassVar[str] = "json"

    def answers(
        self, library: Any, orders: Sequence[str], out: Path, progress: Silent
    ) -> Generator[tuple[int, str], None, None]:
        for place in reversed(range(len(orders))):  # they come as they end, not as they were asked for
            yield place, remote.work(orders[place])


def long(recipe: Recipe) -> Recipe:
    """Of so many updates that there is time to kill it, with a snapshot after every twentieth."""
    return replace(recipe, data=ToyText(train=400), budget=Budget(epochs=6, batch_size=8, snapshot_every=20))


def values(comparison: Comparison) -> list[dict[str, Any]]:
    records = [result.to_json() for result in comparison.results]
    return [{name: value for name, value in each.items() if name not in VOLATILE} for each in records]


def files(folder: Path) -> dict[str, bytes]:
    names = ("model/model.safetensors", "predictions.jsonl", "curve.jsonl")
    return {name: (folder / name).read_bytes() for name in names}


def lines(out: Path) -> int:
    return sum(path.read_text().count("\n") for path in out.glob("*/*/curve.jsonl"))


def kill_worker(out: Path, after: int) -> int:
    """Kill the process that is at the one run in a folder, once its curve has so many lines; the process' number."""
    while lines(out) < after:
        time.sleep(0.01)
    (status,) = out.glob("*/*/status.json")
    process = int(json.loads(status.read_text())["process"])
    os.kill(process, signal.SIGKILL)
    return process


def test_a_grid_elsewhere_comes_to_the_values_of_one_here_and_says_how_it_goes_on(
    toy: Callable[[str], Recipe], tmp_path: Path
) -> None:
    recipes, told = [toy("bert"), replace(toy("bert"), method=Frozen())], Told()
    here = compare(recipes, out=tmp_path / "here")
    jobs = compare(recipes, out=tmp_path / "jobs", engine=Near(), progress=told)
    assert values(here) == values(jobs)
    assert [each.folder.relative_to(tmp_path) for each in jobs.results if each.folder] == [
        Path("jobs", *each.folder.relative_to(tmp_path / "here").parts) for each in here.results if each.folder
    ]
    assert "test_engines computes 2 of 2 runs" in told.lines
    one, two = (line for line in told.lines if line.startswith("["))
    assert one.startswith("[1/2] toy_bert frozen seed 0: done; about ")
    assert one.endswith(" left")
    assert two == "[2/2] toy_bert full seed 0: done"


def test_a_run_that_fails_is_listed_with_its_cause_and_the_others_are_done(
    toy: Callable[[str], Recipe], tmp_path: Path
) -> None:
    meaningless = replace(toy("bert"), task=Classification(image_size=16))
    absent = replace(toy("bert"), checkpoint=Local("/nowhere"))
    grid, told = [meaningless, absent, toy("bert")], Told()
    found = compare(grid, out=tmp_path / "jobs", engine=Near(), progress=told)
    here = compare(grid, out=tmp_path / "here")
    assert [each.recipe for each in found.failures] == [meaningless, absent]
    assert [each.reason for each in found.failures] == [each.reason for each in here.failures]
    assert "has no meaning" in found.failures[0].reason
    assert "holds no config.json" in found.failures[1].reason
    assert values(found) == values(here)
    assert "test_engines computes 2 of 3 runs" in told.lines  # what cannot be fetched is not submitted
    assert any(line.startswith("[2/2] toy_bert full seed 0: not done: task.image_size") for line in told.lines)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "MemoryError"),
        (torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate"), "CUDA out of memory. Tried to allocate"),
        (RuntimeError("[enforce fail] can't allocate memory"), "RuntimeError: [enforce fail] can't allocate memory"),
        (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero"),
    ],
)
@pytest.mark.parametrize(("engine", "fails"), [(Here(), "finetune.engines.here.run"), (Near(), "finetune.remote.run")])
def test_whatever_ends_a_run_the_others_of_the_grid_are_done(
    toy: Callable[[str], Recipe],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    engine: Engine,
    fails: str,
    error: Exception,
    reason: str,
) -> None:
    def some(recipe: Recipe, **more: Any) -> Result:
        if recipe.seed == 0:
            raise error
        return run(recipe, **more)

    monkeypatch.setattr(fails, some)
    recipes = [replace(toy("bert"), method=Majority(), seed=seed) for seed in (0, 1)]
    found = compare(recipes, out=tmp_path, engine=engine)
    assert [(each.recipe, each.reason) for each in found.failures] == [(recipes[0], reason)]
    assert [each.status for each in found.results] == ["done"]


def test_what_the_command_itself_cannot_read_is_listed_and_the_others_are_submitted(
    toy: Callable[[str], Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def some(recipe: Recipe, **more: Any) -> Session:
        if recipe.seed == 0:
            os.listdir("/nowhere")
        return session(recipe, **more)

    monkeypatch.setattr("finetune.engines.session", some)
    recipes = [replace(toy("bert"), method=Majority(), seed=seed) for seed in (0, 1)]
    found = compare(recipes, out=tmp_path, engine=Near())
    (failure,) = found.failures
    assert failure.reason.startswith("FileNotFoundError: [Errno 2] No such file or directory")
    assert [each.status for each in found.results] == ["done"]


@pytest.mark.parametrize(
    ("asked", "processes"), [(KeyboardInterrupt(), "1"), (Stopped(signal.SIGTERM), "1"), (ZeroDivisionError(), "2")]
)
def test_who_asks_a_grid_to_stop_is_heard_and_of_several_processes_none_goes_on_without_the_others(
    toy: Callable[[str], Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: BaseException, processes: str
) -> None:
    def ends(*_: Any, **__: Any) -> Result:
        raise asked

    monkeypatch.setenv("WORLD_SIZE", processes)
    monkeypatch.setattr("finetune.engines.here.run", ends)
    with pytest.raises(type(asked)):
        compare([toy("bert")], out=tmp_path)


def test_a_second_call_does_nothing(
    toy: Callable[[str], Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = compare([toy("bert")], out=tmp_path, engine=Near())
    monkeypatch.setattr(Near, "answers", lambda *_: pytest.fail("something was submitted"))
    again = compare([toy("bert")], out=tmp_path, engine=Near())
    assert (first.before, again.before) == (0, 1)
    assert again.results == first.results
    elsewhere = compare([toy("bert")], out=tmp_path / "other", engine=Near(), known=first.results)
    assert elsewhere.results == first.results


def test_trials_are_made_by_the_engine_and_choose_the_same(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    recipe, told = replace(toy("bert"), method=LoRA()), Told()
    found = tune([recipe], 2, out=tmp_path / "jobs", engine=Near(), progress=told)
    assert found.recipes == tune([recipe], 2, out=tmp_path / "here").recipes
    assert any(line.startswith("[2/2] toy_bert lora seed 0, trial 1 of 2: done") for line in told.lines)


@pytest.mark.parametrize("engine", [Ray(), Slurm()])
def test_without_its_extra_an_engine_says_what_to_install(engine: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, engine.library, None)
    word, library = engine.word(), engine.library
    with pytest.raises(InputError) as error:
        compare([], engine=engine)
    assert str(error.value) == f'--on {word} needs the package {library!r}: pip install "finetune[{word}]"'


def test_an_engine_is_named_with_its_place_and_settings() -> None:
    assert Ray.at("ray://head:10001", ["cpus=4", "gpus=0"]) == Ray(address="ray://head:10001", cpus=4, gpus=0)
    assert Slurm.at("gpu", ["minutes=30"]) == Slurm(partition="gpu", minutes=30)
    assert Ray.at("") == Ray(address=None)
    with pytest.raises(InputError, match="unknown value of engine.executor 'locl'; did you mean 'local'?"):
        Slurm.at("", ["executor=locl"])
    with pytest.raises(InputError, match="engine.minutes must be at least 1, got 0"):
        Slurm.at("", ["minutes=0"])
    for kind in (Ray, Slurm):
        assert [kind.at("", [f"gpus={count}"]).gpus for count in (0, 1)] == [0, 1]
        with pytest.raises(InputError, match="engine.gpus must be 0 or 1, got 2: each run is one process there, which"):
            kind.at("", ["gpus=2"])


def test_runs_that_a_launcher_shares_are_not_submitted_by_each_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="--on slurm asks for runs from one process, and a launcher has started 2"):
        compare([], engine=Slurm())


def test_slurm_where_there_is_none_is_refused_in_a_line(
    toy: Callable[[str], Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("submitit", reason="jobs need pip install 'finetune[slurm]'")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="--on slurm finds no Slurm on this machine: "):
        compare([toy("bert")], out=tmp_path, engine=Slurm())


@dataclass(frozen=True, kw_only=True)
class Sharp(Core):
    """An attention of a user's own."""


def test_a_class_of_ones_own_is_refused_before_anything_is_submitted(
    toy: Callable[[str], Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = type("Full", (Full,), {"__module__": "mine"})
    monkeypatch.setattr(Near, "answers", lambda *_: pytest.fail("something was submitted"))
    for part, words in (
        ({"attention": MultiHead(core=Sharp())}, r"unknown kind of core 'Sharp'"),
        ({"method": own()}, "a class of yours is called as one of finetune's"),
    ):
        with pytest.raises(InputError, match=words) as error:
            compare([toy("bert"), replace(toy("bert"), **part)], out=tmp_path, engine=Near())
        assert "put the class into a file of the finetune package, or leave --on out" in str(error.value)


def test_whatever_goes_wrong_at_a_run_comes_back_as_its_cause(
    toy: Callable[[str], Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("finetune.remote.run", lambda *_, **__: 1 / 0)
    with pytest.raises(InputError, match="^ZeroDivisionError: division by zero$"):
        remote.received(remote.work(remote.order(toy("bert"), tmp_path)))
    assert "Traceback" in capfd.readouterr().err  # in the log of the machine, in full


def test_a_folder_that_the_machines_do_not_share_is_named(
    toy: Callable[[str], Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "SHOWN", 0)
    answer = remote.work(remote.order(toy("bert"), tmp_path))
    assert remote.received(answer).status == "done"
    (record,) = tmp_path.glob("*/*/result.json")
    record.unlink()
    with pytest.raises(InputError, match="does not see it: --out must be a folder that all share"):
        remote.received(answer)
    asked = json.loads(remote.order(toy("bert"), tmp_path)) | {"at": str(tmp_path / "gone")}
    with pytest.raises(InputError, match="cannot enter .*gone .*all machines must share the folder in which finetune"):
        remote.received(remote.work(json.dumps(asked)))


def test_who_finds_another_process_at_the_run_waits_for_it(
    toy: Callable[[str], Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with ExitStack() as other:
        other.enter_context(session(toy("bert")).folder(tmp_path).lock())
        monkeypatch.setattr("finetune.remote.time.sleep", lambda _: other.close())
        assert remote.received(remote.work(remote.order(toy("bert"), tmp_path))).status == "done"
    assert "waits, because another process is computing" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("machines", "runs", "gpus", "each"),
    [
        ([Machine(8, 0)], 2, 0, 4),
        ([Machine(8, 0)], 3, 0, 2),
        ([Machine(8, 0)], 100, 0, 1),
        ([Machine(8, 0)], 1, 0, 8),
        ([Machine(3, 0), Machine(1, 0)], 2, 0, 1),  # with 2 each the small one would have no room
        ([Machine(16, 4)], 100, 1, 4),
        ([Machine(64, 0), Machine(8, 1)], 100, 1, 8),  # where there is no GPU nothing runs
        ([Machine(8, 0)], 4, 1, 1),  # nor anywhere yet
    ],
)
def test_runs_get_the_cores_with_which_as_many_as_possible_go_on_at_once(
    machines: list[Machine], runs: int, gpus: int, each: int
) -> None:
    assert cores(machines, runs, gpus) == each


def test_a_job_that_is_killed_is_submitted_again_and_goes_on_from_its_snapshot(
    toy: Callable[[str], Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitit = pytest.importorskip("submitit", reason="jobs need pip install 'finetune[slurm]'")
    monkeypatch.setattr(submitit.core.core.Job, "_results_timeout_s", 0)
    monkeypatch.setattr("finetune.engines.slurm.POLL", 0.1)
    whole, told = compare([long(toy("bert"))], out=tmp_path / "whole"), Told()
    killer = Thread(target=kill_worker, args=(tmp_path / "killed", 10), daemon=True)
    killer.start()
    engine = Slurm(executor="local")
    killed = compare([long(toy("bert"))], out=tmp_path / "killed", engine=engine, progress=told)
    killer.join()
    assert any(line.endswith("is started again as a new one") for line in told.lines)
    assert values(killed) == values(whole)
    assert left(tmp_path / "killed") == left(tmp_path / "whole")
    logs = "".join(path.read_text() for path in (tmp_path / "killed" / ".submitit").glob("*.err"))
    assert "goes on after update" in logs


OWN = '''"""A recipe of a test."""
from finetune import *
from finetune.data.toy import ToyText

recipe = Recipe(name="toy", checkpoint=Local({checkpoint!r}), data=ToyText(train=400), task=Classification(),
                method=Full(), budget=Budget(epochs=20, batch_size=8, snapshot_every=20), precision="float32")
'''


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, Path]]:
    """A Ray cluster of two machines with a core each: its address, and the folder of its logs."""
    pytest.importorskip("ray", reason="a cluster needs pip install 'finetune[ray]'")
    machines = importlib.import_module("ray.cluster_utils").Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    machines.add_node(num_cpus=1)
    yield machines.address, Path(machines.head_node.get_logs_dir_path())
    machines.shutdown()


@contextmanager
def driver(file: Path, out: Path, on: str, *more: str) -> Iterator[subprocess.Popen[str]]:
    """A program of its own that asks for the grid; killed, if it still runs at the end."""
    command = [sys.executable, "-m", "finetune", "compare", str(file), *more, "--methods", "full", "--seeds", "1"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [*command, "--out", str(out), "--on", on],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        yield program
        program.kill()
        program.communicate()


def ended(program: subprocess.Popen[str]) -> str:
    said = program.communicate(timeout=200)[1]
    assert program.returncode == 0, said
    return said


def left(out: Path) -> dict[str, Any]:
    """What a run has left but for what the clock and the machine have a part in."""
    (record,) = out.glob("*/*/result.json")
    result = {name: value for name, value in json.loads(record.read_text()).items() if name not in VOLATILE}
    return {"result": result, **files(record.parent)}


@pytest.fixture
def own(tmp_path: Path, checkpoint: Callable[[str], Path], own_cache: Path) -> Path:
    assert not own_cache.exists()
    path = tmp_path / "own.py"
    path.write_text(OWN.format(checkpoint=str(checkpoint("bert"))))
    return path


def went_on(logs: Path) -> int:
    """How many runs of a cluster went on from a snapshot."""
    return sum(path.read_text(errors="replace").count("goes on after update") for path in logs.glob("worker-*.err"))


def test_a_worker_of_a_cluster_that_is_killed_goes_on_in_another_to_the_same_bytes(
    toy: Callable[[str], Recipe], tmp_path: Path, address: tuple[str, Path]
) -> None:
    where, logs = address
    recipes, told, before = [long(toy("bert"))], Told(), went_on(logs)
    compare(recipes, out=tmp_path / "whole")
    killer = Thread(target=kill_worker, args=(tmp_path / "killed", 10), daemon=True)
    killer.start()
    found = compare(recipes, out=tmp_path / "killed", engine=Ray(address=where), progress=told)
    killer.join()
    assert told.lines[-1] == "[1/1] toy_bert full seed 0: done"
    assert (len(found.results), found.before) == (1, 0)
    assert went_on(logs) == before + 1
    assert left(tmp_path / "killed") == left(tmp_path / "whole")


@pytest.mark.slow
def test_a_driver_that_is_killed_and_started_again_ends_with_the_same_bytes(
    own: Path, tmp_path: Path, address: tuple[str, Path]
) -> None:
    where, logs = address
    with driver(own, tmp_path / "whole", "here") as program:
        ended(program)
    before = went_on(logs)
    with driver(own, tmp_path / "killed", f"ray:{where}") as program:
        while lines(tmp_path / "killed") < 20:
            time.sleep(0.01)
        program.kill()
    with driver(own, tmp_path / "killed", f"ray:{where}") as program:
        ended(program)
    assert went_on(logs) == before + 1
    assert left(tmp_path / "killed") == left(tmp_path / "whole")


@pytest.mark.slow
def test_without_a_cluster_one_is_started_here_and_a_run_that_fails_stops_no_other(
    own: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray", reason="a cluster needs pip install 'finetune[ray]'")
    bad = own.with_name("bad.py")
    text = own.read_text().replace('"toy"', '"bad"')
    bad.write_text(text.replace("Classification()", "Classification(image_size=16)"))
    with driver(own, tmp_path / "out", "ray", str(bad)) as program:
        said = program.communicate(timeout=200)[1]
    assert program.returncode == 2, said
    assert "finetune: bad full seed 0: task.image_size" in said
    assert "done: 1 of 2 runs" in said
    assert main(["compare", str(own), "--methods", "full", "--seeds", "1", "--out", str(tmp_path / "out")]) == 0
    assert "done: 1 of 1 runs, 1 of them before" in capfd.readouterr().err


def test_an_address_where_no_cluster_is_is_refused_in_a_line(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="a cluster needs pip install 'finetune[ray]'")
    for address in ("127.0.0.1:1", "ray://127.0.0.1:1"):
        with pytest.raises(InputError, match=f"^--on ray reaches no cluster at {address}: ConnectionRefusedError: "):
            compare([toy("bert")], out=tmp_path, engine=Ray(address=address))
    with pytest.raises(InputError, match="^--on ray reaches no cluster at nothing: "):
        compare([toy("bert")], out=tmp_path, engine=Ray(address="nothing"))
