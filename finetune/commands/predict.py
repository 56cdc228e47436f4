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
    from finetune.predict import Prediction, Tagged, Value, Written

WIDTH = 60  # of an input, where it is a line of a list
TOLD = 5  # inputs with unknown tokens, each with its number


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
        from finetune.predict import check_filled, load

        if given.pairs and len(given.inputs) % 2:
            raise InputError(f"--pairs takes an even number of texts, got {len(given.inputs)}")
        inputs = list(zip(given.inputs[::2], given.inputs[1::2], strict=True)) if given.pairs else given.inputs
        check_filled(inputs)  # before a model is loaded
        progress = commands.progress()
        predictor = load(given.run, progress=progress)
        predictions = predictor(inputs)
        counts = enumerate(predictor.unknown(inputs), 1)
        lost = [f"{some} of {count} tokens of input {number}" for number, (some, count) in counts if some]
        if lost:
            told = f"{', '.join(lost[:TOLD])}{', …' if len(lost) > TOLD else ''}"
            progress.say(f"{told} are unknown to the run's tokenizer, and all the same to its model")
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


def _said(found: Prediction | Value | Written | Tagged) -> tuple[str, str]:
    """A label and how likely it is, or a value, a text, the spans in one, or each word's tag if there are none."""
    from finetune.predict import Prediction, Tagged, Value

    if isinstance(found, Prediction):
        return found.label, f"{found.probability:.3f}"
    if isinstance(found, Value):
        return f"{found.value:.6g}", ""
    if isinstance(found, Tagged):
        words = [f"{word} {tag or '?'}" for word, tag in zip(found.words, found.tags, strict=True)]
        return " · ".join([f"{span.text} {span.kind}" for span in found.spans] or words), ""
    return " ".join(found.text.split()), ""


def _line(given: str | tuple[str, str]) -> str:
    """An input on one line and no longer than that, its beginning first."""
    text = " ".join((given if isinstance(given, str) else " · ".join(given)).split())
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 2]} …"
