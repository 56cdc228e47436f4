"""The record of a run: what came out, what it cost, and everything needed to believe or repeat it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from finetune.errors import InputError
from finetune.items import Items
from finetune.stats import Estimate

# fields that older records do not have
UNKNOWN = ("items", "broken", "validation_loss", "choice", "opened", "shared", "unseen", "values")
UNWRITTEN = {"folder", "before"}  # fields that say where a record was found, and are not in it
MAPPINGS = {"recipe", "scores", "validation", "rows", "truncated", "parameters", "seconds", "weights", "data"}


@dataclass(frozen=True, kw_only=True)
class Result:
    """One finished run. `scores` are over the test split, the headline first.

    There are none of a diverged run, nor of a trial: a run whose test set stayed closed. Of neither is a model saved.
    """

    status: Literal["done", "diverged", "failed"]  # failed: trained to the end, but see `broken`
    recipe: Mapping[str, Any]  # the recipe's JSON
    method: str
    fingerprint: str
    scores: Mapping[str, Estimate]
    validation: Mapping[str, Estimate]
    items: Items | None  # of the test split; None: not scored, or the headline is no mean over examples
    validation_loss: float | None  # mean −log probability of the right labels, in nats; None: not measured
    choice: Mapping[str, Any] | None  # what the method chose on the validation rows, and from what; None: nothing
    opened: Mapping[str, Any] | None  # when its test set was, for what was chosen by trials; None: there were none
    shared: bool | None  # whether it is a trial at another method's best rate, and none to choose by; None: it is not
    broken: tuple[str, ...] | None  # what the run did not keep of `finetune.integrity`; None: not checked
    labels: tuple[str, ...]
    values: tuple[float, float] | None  # mean and deviation of the training rows'; None: they have none
    unseen: tuple[str, ...] | None  # labels that no training row has; None: not looked
    rows: Mapping[str, int]  # used, by split
    truncated: Mapping[str, int]  # texts cut to the length the model reads, by split
    test_rows_in_train: int  # test texts that train holds too
    parameters: Mapping[str, int]  # total, trained
    seconds: Mapping[str, float]  # data, load, features (now, or when they were first taken), train, eval
    examples_per_second: float  # of updates
    tokens_per_second: float  # real ones: padding does not count
    updates: int
    epochs: int
    peak_memory_bytes: int
    saved_bytes: int
    saved: str  # folder of what was trained, within the run's; empty: nothing is saved
    precision: str
    attention: str
    weights: Mapping[str, str | None]  # sha256 of weights, of settings; hub commit
    data: Mapping[str, str]  # sha256, and what was fetched
    environment: Mapping[str, Any]
    folder: Path | None = field(default=None, compare=False)  # where it was found
    before: datetime | None = field(default=None, compare=False)  # when it was made; None: just now

    @property
    def machine(self) -> str:
        """What its times are of."""
        processes, stage = self.environment.get("processes", 1), self.environment.get("zero_stage")
        beside = f", {processes} processes" if processes > 1 else ""
        spread = f", ZeRO stage {stage}" if stage else ""
        return f"{self.environment['device']}, {self.environment['threads']} threads{beside}{spread}"

    @property
    def headline(self) -> str:
        """Name of the first score; of a diverged run and of a trial there is none."""
        return next(iter(self.scores), "")

    @property
    def test_set(self) -> str | None:
        """Names its test rows, of whose ids another data set may have the same; None: no row has a score of its own."""
        return None if self.items is None else f"{self.items.ids} {self.data['sha256']}"

    @property
    def trial(self) -> bool:
        """Whether it was made beside a choice, and saw no test row."""
        return self.rows["test"] == 0

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name not in UNWRITTEN}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Result:
        """The result that `to_json` wrote.

        Raises:
            InputError: it was written by another version, or is damaged, or something else.
        """
        if not isinstance(value, Mapping) or not {"recipe", "method", "scores", "validation", "labels"} <= set(value):
            raise InputError(f"a record of a run is to have all fields of finetune.Result, got {str(value)[:60]!r}")
        for name in MAPPINGS & set(value):
            if not isinstance(value[name], Mapping):
                raise InputError(f"{name} of a record is to be a mapping, got {str(value[name])[:60]!r}")
        try:
            return Result(**_fields(value))
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"a record of a run is damaged, or of another version of finetune: {error!r}") from error


def _fields(value: Mapping[str, Any]) -> dict[str, Any]:
    """What a record says, with a field for everything that an older one does not have."""
    parts: dict[str, Any] = dict.fromkeys(UNKNOWN) | dict(value)
    for name in ("scores", "validation"):
        parts[name] = {metric: Estimate(**estimate) for metric, estimate in parts[name].items()}
    parts["labels"] = tuple(parts["labels"])
    for name in ("broken", "unseen", "values"):
        parts[name] = None if parts[name] is None else tuple(parts[name])
    empty = dict.fromkeys(each.name for each in fields(Items) if each.default is None)
    kept = None if parts["items"] is None else empty | parts["items"]
    if kept is not None and set(kept) != {each.name for each in fields(Items)}:
        raise InputError(f"items of a record are to have all fields of finetune.items.Items, got {str(kept)[:60]!r}")
    parts["items"] = None if kept is None else Items(**kept)
    if set(parts) != {each.name for each in fields(Result)} - UNWRITTEN:
        raise InputError(
            f"the record of {parts['recipe']['name']} {parts['method']} was written by another version of "
            "finetune; delete its folder and the run is made again"
        )
    return parts
