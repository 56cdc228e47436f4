"""What a person sees while a run works."""

from __future__ import annotations

import pytest

from finetune.progress import Bars


def test_without_a_terminal_there_are_plain_lines_that_say_which_run_how_fast_and_how_long(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 1000, 11))
    monkeypatch.setattr("finetune.progress.time.monotonic", lambda: next(clock))
    bars = Bars()
    bars.run(3, 18, "bert_r8 lora seed 1")
    bars.start("train", 1000, "tok")
    bars.advance(250)
    bars.end()
    first, second = capsys.readouterr().err.splitlines()
    assert first == "[3/18] bert_r8 lora seed 1"
    assert "[3/18] bert_r8 lora seed 1 · train:  25%" in second
    assert "250/1.00k" in second
    assert "tok/s" in second
    assert "<" in second  # time gone < time left
    assert "\r" not in second


def test_a_training_goes_on_after_the_validation_within_it() -> None:
    bars = Bars()
    bars.start("train", 10, "tok")
    bars.advance(4)
    bars.start("validation", 5, "tok")
    bars.advance(5)
    bars.end()
    bars.advance(2)
    assert bars.bars[-1].n == 6
    bars.end()
    assert bars.bars == []


def test_the_time_left_of_what_goes_on_is_told_by_what_was_done_since(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tqdm.std.time", iter(range(0, 1000, 10)).__next__)  # as the bar reads it: ten seconds apart
    bars = Bars()
    bars.spoken = -100.0
    bars.start("train", 1000, "tok", done=800)
    bars.advance(10)
    bars.end()
    (line,) = capsys.readouterr().err.splitlines()
    assert "810/1.00k" in line
    assert float(line.rpartition(", ")[2].removesuffix("tok/s]")) <= 1  # and not 81
