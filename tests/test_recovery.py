"""What fine-tuning buys back, told by records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from finetune import InputError, Recipe, Result, run
from finetune.items import Items
from finetune.report.recovery import recovery
from finetune.stats import Estimate


@pytest.fixture
def records(toy: Callable[[str], Recipe], tmp_path: Path) -> dict[tuple[str, str], Result]:
    first = run(toy("bert"), out=tmp_path)
    values = {
        ("stock", "stock_head"): 0.90,
        ("stock", "frozen"): 0.90,
        ("stock", "full"): 0.95,
        ("uniform", "stock_head"): 0.30,
        ("uniform", "frozen"): 0.60,
        ("uniform", "full"): 0.82,
    }
    return {key: record(first, *key, value) for key, value in values.items()}


def record(first: Result, attention: str, method: str, value: float) -> Result:
    scores = {"accuracy": Estimate(value, value - 0.02, value + 0.01, 30)}
    if method == "stock_head":
        scores["divergence"] = Estimate(0.0 if attention == "stock" else 1.25, None, None, 30)
    seconds = {"features": 0.0 if method == "full" else 3.0, "train": 2.0}
    recipe = {**first.recipe, "method": {"type": method}, "attention": {"type": attention}}
    return replace(first, recipe=recipe, method=method, attention=attention, scores=scores, seconds=seconds, updates=10)


def rows(records: dict[tuple[str, str], Result]) -> dict[str, dict[str, str]]:
    found = recovery(records.values())
    return {row[1]: dict(zip(found.header, row, strict=True)) for row in found.rows}


def test_a_row_is_an_attention_and_a_column_a_method(records: dict[tuple[str, str], Result]) -> None:
    uniform = rows(records)["uniform"]
    assert uniform["no training %"] == "30.0 (28.0 to 31.0)"
    assert uniform["frozen %"] == "60.0 (58.0 to 61.0)"
    assert uniform["full %"] == "82.0 (80.0 to 83.0)"
    assert (uniform["moved, nats"], uniform["seeds"], uniform["test rows"]) == ("1.2", "1", "30")


def test_what_is_bought_back_is_the_best_method_s_share_of_what_the_swap_cost(
    records: dict[tuple[str, str], Result],
) -> None:
    found = rows(records)
    assert found["uniform"]["bought back %"] == "80"  # (0.82 − 0.30) of (0.95 − 0.30)
    assert found["stock"]["bought back %"] == "–"


def test_a_swap_whose_cost_lies_within_the_intervals_is_not_said_to_have_one(
    records: dict[tuple[str, str], Result],
) -> None:
    untrained = replace(records["uniform", "stock_head"], scores={"accuracy": Estimate(0.86, 0.84, 0.89, 30)})
    records["uniform", "stock_head"] = untrained  # stock has 0.90, from 0.88, and comes to 0.95 when trained
    assert rows(records)["uniform"]["bought back %"] == "–"


def test_only_what_trains_the_backbone_has_a_cost_per_update(records: dict[tuple[str, str], Result]) -> None:
    found = rows(records)["uniform"]
    assert found["full ms/update"] == "200"
    assert "frozen ms/update" not in found


def test_a_diverged_run_is_said_to_be_one_and_a_missing_one_is_a_dash(
    records: dict[tuple[str, str], Result],
) -> None:
    records["uniform", "full"] = replace(records["uniform", "full"], status="diverged", scores={})
    del records["uniform", "frozen"]
    uniform = rows(records)["uniform"]
    assert (uniform["full %"], uniform["frozen %"], uniform["bought back %"]) == ("diverged", "–", "–")


def test_two_settings_for_one_cell_are_refused(records: dict[tuple[str, str], Result]) -> None:
    full = records["uniform", "full"]
    other = replace(full, recipe={**full.recipe, "budget": {"epochs": 9}})
    with pytest.raises(InputError, match="one cell for toy_bert full uniform, which was run with several settings"):
        recovery([*records.values(), other])


def test_where_no_attention_was_swapped_the_table_says_how_one_is(records: dict[tuple[str, str], Result]) -> None:
    told = "no attention but the checkpoint's own: `finetune compare … --attention stock,uniform` sets others beside it"
    assert told not in recovery(records.values()).notes
    assert recovery([run for (attention, _), run in records.items() if attention == "stock"]).notes[0] == told


def test_random_weights_are_a_row_and_what_has_no_backbone_is_told_in_a_line(
    records: dict[tuple[str, str], Result],
) -> None:
    full = records["stock", "full"]
    random = {**full.recipe, "name": "toy_bert+untrained", "checkpoint": {"type": "Untrained"}}
    bare = [replace(record(full, "stock", kind, 0.2), method=kind.lower()) for kind in ("Majority", "Surface")]
    found = recovery([*records.values(), *bare, replace(full, recipe=random)])
    assert found.header == recovery(records.values()).header
    assert [row[:2] for row in found.rows[-1:]] == [("toy_bert+untrained", "stock")]
    assert len(found.rows) == 3
    with pytest.raises(InputError, match="one cell for toy_bert majority, which was run with several settings"):
        recovery([*bare, replace(bare[0], recipe={**bare[0].recipe, "budget": {"epochs": 9}})])
    told = "toy_bert without a backbone: majority 20.0 (18.0 to 21.0) %, surface 20.0 (18.0 to 21.0) %"
    assert told in found.notes


def test_what_no_backbone_is_needed_for_is_said_of_several_seeds(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    first = run(toy("bert"), out=tmp_path)

    def seeds(method: str, kind: str, right: float) -> list[Result]:
        items = Items.of([str(number) for number in range(400)], np.arange(400) < right * 400)
        recipe = {**first.recipe, "method": {"type": kind}}
        return [
            replace(first, recipe={**recipe, "seed": seed}, method=method, attention="stock", items=items)
            for seed in range(2)
        ]

    told = recovery([*seeds("frozen", "Frozen", 0.9), *seeds("surface", "Surface", 0.8975)]).notes
    assert "toy_bert frozen is not shown to be better than a control: toy_bert surface" in told
