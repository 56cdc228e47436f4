"""What a run will take: counts are exact, causes add up, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from finetune import Budget, Frozen, Full, LoRA, Recipe
from finetune.cache import FEATURES, kept_dir
from finetune.cli import main
from finetune.execute import run
from finetune.forecast import Forecast
from finetune.outputs import size
from finetune.plan import plan
from finetune.report.forecasts import duration, forecasts


@pytest.fixture
def planned(toy: Callable[[str], Recipe], tmp_path: Path) -> Callable[..., tuple[Forecast, Any]]:
    def both(family: str, method: Any) -> tuple[Forecast, Any]:
        recipe = replace(toy(family), method=method, budget=Budget(epochs=3, batch_size=4))
        return plan(recipe), run(recipe, out=tmp_path)

    return both


@pytest.mark.parametrize("family", ["bert", "llama", "vit"])
@pytest.mark.parametrize("method", [LoRA(), Full()], ids=["lora", "full"])
def test_rows_updates_parameters_and_what_is_saved_are_those_of_the_run(
    planned: Callable[..., tuple[Forecast, Any]], family: str, method: Any
) -> None:
    forecast, result = planned(family, method)
    assert forecast.rows == result.rows["train"]
    assert forecast.updates == result.updates
    assert forecast.parameters == result.parameters
    encoder = result.saved_bytes - forecast.disk["trained"]  # the tokenizer or image processor beside it
    assert 0 <= encoder < 100_000


def test_features_are_foreseen_with_the_room_they_take_and_none_are_kept(
    planned: Callable[..., tuple[Forecast, Any]],
) -> None:
    forecast, result = planned("bert", Frozen())
    assert forecast.seconds["features"] > 0
    assert forecast.parameters == result.parameters
    kept = size(kept_dir(FEATURES))  # the run's own
    assert forecast.disk["cache"] == pytest.approx(kept, rel=0.25)


def test_a_plan_keeps_nothing_and_moves_no_random_number(toy: Callable[[str], Recipe]) -> None:
    torch.manual_seed(3)
    plan(replace(toy("bert"), method=Frozen()))
    found = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(found, torch.rand(1))
    assert not kept_dir(FEATURES).exists()


def test_the_causes_of_memory_are_told_apart(toy: Callable[[str], Recipe]) -> None:
    recipe = replace(toy("bert"), precision="bfloat16", method=Full())
    memory = plan(recipe).memory
    assert set(memory) == {"libraries", "weights", "gradients", "optimizer", "activations"}
    trained = plan(recipe).parameters["trained"]
    assert memory["weights"] == 2 * trained
    assert memory["gradients"] <= 4 * trained  # rows that no text has get none
    assert memory["optimizer"] > 8 * memory["gradients"] / 4


def forecast(recipe: Recipe, peak: int, trained: int, seconds: float) -> Forecast:
    causes = {"libraries": 100, "weights": 100, "gradients": 0, "optimizer": 0, "activations": peak - 200}
    return Forecast(
        recipe=recipe.name,
        method=recipe.method_name,
        attention="stock",
        seconds={"load": 0.0, "features": 0.0, "train": seconds, "eval": 0.0},
        memory={cause: value * 10**6 for cause, value in causes.items()},
        disk={"trained": 1, "cache": 0},
        rows=64,
        updates=8,
        parameters={"total": 1000, "trained": trained},
    )


def test_a_method_that_saves_nothing_is_told(toy: Callable[[str], Recipe]) -> None:
    lora, full = replace(toy("bert"), method=LoRA()), toy("bert")
    cheap = forecasts([forecast(lora, 500, 10, 5.0), forecast(full, 1000, 1000, 10.0)])
    assert not any("saves no" in note for note in cheap.notes)
    dear = forecasts([forecast(lora, 950, 10, 9.5), forecast(full, 1000, 1000, 10.0)]).notes
    assert "toy_bert: lora saves no memory beside full (950 MB of 1000): activations are 79 % of it" in dear[0]
    assert "toy_bert: lora saves no time beside full" in dear[1]


@pytest.mark.parametrize(
    ("seconds", "said"), [(8.4, "8 s"), (99, "99 s"), (150, "2 min"), (5940, "99 min"), (9000, "2 h 30 min")]
)
def test_times_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_the_command_prints_a_row_for_each_method_and_goes_on_past_one_that_cannot_run(
    toy: Callable[[str], Recipe], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = toy("bert").checkpoint
    (tmp_path / "mine.py").write_text(
        "from finetune import *\n"
        "from finetune.data.toy import ToyText\n"
        f"recipe = Recipe(name='mine', checkpoint={checkpoint!r}, data=ToyText(), task=Classification(), "
        "method=Full(), budget=Budget(epochs=1, batch_size=8))\n"
    )
    code = main(["plan", str(tmp_path / "mine.py"), "--methods", "full,last_layers", "--set", "method.layers=99"])
    said = capsys.readouterr()
    assert code == 2
    assert "method.layers must be at most" in said.err
    assert [line.split()[:2] for line in said.out.splitlines()[2:3]] == [["mine", "full"]]
