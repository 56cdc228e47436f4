"""What a launcher says of how a model is to be spread is understood, or refused."""

from __future__ import annotations

import os

import pytest

from finetune import InputError, zero
from finetune.zero import ASKED, BY_DEEPSPEED, OFFLOADS, ON_FIRST, OWN_FILE, RESHARD, STAGE, VERSION, machines


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({VERSION: "1"}, f"FSDP_VERSION must be 2, got 1: write fsdp_version: 2, as {machines() / 'fsdp2.yaml'} does"),
        ({}, "FSDP_VERSION must be 2, got 1"),
        (
            {VERSION: "2", "FSDP_OFFLOAD_PARAMS": "true"},
            "FSDP_OFFLOAD_PARAMS must be false, got true: there is no such",
        ),
        (
            {VERSION: "2", "FSDP_ACTIVATION_CHECKPOINTING": "true"},
            "FSDP_ACTIVATION_CHECKPOINTING must be false, got true",
        ),
        ({VERSION: "2", RESHARD: "8"}, "FSDP_RESHARD_AFTER_FORWARD must be true or false, got 8"),
    ],
)
def test_other_ways_to_spread_are_refused(monkeypatch: pytest.MonkeyPatch, given: dict[str, str], words: str) -> None:
    for name, value in {ASKED: "true", **given}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=words):
        zero.check()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {OWN_FILE: "ds.json"},
            f"{OWN_FILE} must not be set, got ds.json: DeepSpeed's own file is not read, for batch, precision and "
            f"clipping are the recipe's; write zero_stage into accelerate's, as {machines() / 'deepspeed_zero3.yaml'}",
        ),
        ({OFFLOADS[0]: "cpu"}, f"{OFFLOADS[0]} must be none, got cpu: there is no such thing here"),
        ({OFFLOADS[1]: "nvme"}, f"{OFFLOADS[1]} must be none, got nvme"),
        ({STAGE: "4"}, f"{STAGE} must be 0, 1, 2 or 3, got 4"),
    ],
)
def test_what_deepspeed_alone_has_is_refused(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], words: str
) -> None:
    for name, value in {BY_DEEPSPEED: "true", **given}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError) as refused:
        zero.taken_over()
    assert str(refused.value).startswith(words)


@pytest.mark.parametrize(
    ("world", "asked", "stage"), [(2, "0", None), (2, "1", 2), (2, "2", 2), (2, None, 2), (2, "3", 3), (1, "3", None)]
)
def test_the_stage_of_a_launch_for_deepspeed_is_taken_over_and_told(
    monkeypatch: pytest.MonkeyPatch, world: int, asked: str | None, stage: int | None
) -> None:
    for name in (ASKED, VERSION, RESHARD, ON_FIRST):
        monkeypatch.setenv(name, "")  # what the call sets is put back
        monkeypatch.delenv(name)
    given = {BY_DEEPSPEED: "true", "WORLD_SIZE": str(world)} | ({} if asked is None else {STAGE: asked})
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    holds = "each process holds the whole model" if stage is None else f"stage {stage} of ZeRO by torch's FSDP2"
    own = "in finetune's own loop, with the recipe's batch, precision and clipping"
    assert zero.taken_over() == f"launched for DeepSpeed: {holds}, {own}"
    assert zero.stage() == stage
    assert os.environ[BY_DEEPSPEED] == "false"
    assert zero.taken_over() is None  # once


def test_every_process_reads_the_weights_whatever_the_launcher_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {ASKED: "true", VERSION: "2", ON_FIRST: "true"}.items():
        monkeypatch.setenv(name, value)
    zero.check()
    assert os.environ[ON_FIRST] == "false"


@pytest.mark.parametrize(("world", "reshard", "stage"), [(1, "true", None), (2, "true", 3), (2, "false", 2)])
def test_one_process_alone_has_the_whole_model(
    monkeypatch: pytest.MonkeyPatch, world: int, reshard: str, stage: int | None
) -> None:
    for name, value in {ASKED: "true", VERSION: "2", RESHARD: reshard, "WORLD_SIZE": str(world)}.items():
        monkeypatch.setenv(name, value)
    assert zero.stage() == stage
