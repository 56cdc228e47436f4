"""Recipes: one importable, launchable file each. `finetune list` shows them."""

from __future__ import annotations

import json
from pathlib import Path

PINS = Path(__file__).with_name("pins.json")


def pin(id_: str) -> str | None:
    """The commit of a hub repository that `finetune pin` looked up; None until someone did."""
    return json.loads(PINS.read_text(encoding="utf-8")).get(id_)
