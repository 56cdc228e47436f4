"""say what a finished run makes of texts or images of yours"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from finetune import commands
from finetune.commands import Command
from finetune.errors import InputError

if TYPE_CHECKING:
    from finetune.predict import Prediction, Value, Written

WIDTH = 60  # of an input, where it is a line of a list


class Predict(Command):
    example = 'finetune predict outputs/bert_r8/lora-seed1-0a1b2c3d "Grain exports rose after the harvest"'

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("run", metavar="RUN", help="the folder of a finished run, below outputs/")
        parser.add_argument("inputs", metavar="INPUT", nargs="+", help="texts; or paths of images, if it reads images")
        parser.add_argument("--pairs", action="store_true", help="every two texts are a pair")
        parser.add_argument(
            "--format", choices=("terminal", "json"), default="terminal", help="of the answers (default: terminal)"
        )

    def run(self, given: Any) -> int:
        from finetune.predict import load

        if given.pairs and len(given.inputs) % 2:
            raise InputError(f"--pairs takes an even number of texts, got {len(given.inputs)}")
        for number, each in enumerate(given.inputs, 1):
            if not (each.strip() or given.pairs):  # of a pair one half may be empty, as in rows
                raise InputError(f"INPUT {number} is empty, of which nothing can be said: got {each!r}")
        inputs = list(zip(given.inputs[::2], given.inputs[1::2], strict=True)) if given.pairs else given.inputs
        progress = commands.progress()
        predictions = load(given.run, progress=progress)(inputs)
        if given.format == "json":
            records = [{"input": x} | asdict(found) for x, found in zip(inputs, predictions, strict=True)]
            print(json.dumps(records, indent=2, ensure_ascii=False))
            return 0
        said = [_said(found) for found in predictions]
        width = max(len(first) for first, _ in said)
        for x, (first, rest) in zip(inputs, said, strict=True):
            print(f"{_line(x):<{WIDTH}}  {first:<{width}}  {rest}".rstrip())
        cut = sum(found.truncated for found in predictions)
        if cut:
            progress.say(f"{cut} of {len(inputs)} texts were longer than what the model reads, and cut")
        return 0


def _said(found: Prediction | Value | Written) -> tuple[str, str]:
    """A label and how likely it is, or a value, or a text."""
    from finetune.predict import Prediction, Value

    if isinstance(found, Prediction):
        return found.label, f"{found.probability:.3f}"
    if isinstance(found, Value):
        return f"{found.value:.6g}", ""
    return " ".join(found.text.split()), ""


def _line(given: str | tuple[str, str]) -> str:
    """An input on one line and no longer than that, its beginning first."""
    text = " ".join((given if isinstance(given, str) else " · ".join(given)).split())
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 2]} …"
