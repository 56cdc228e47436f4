"""A finished run as a predictor: texts, pairs or images in; labels with probabilities, values, texts or tags out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from PIL import Image
from safetensors import SafetensorError
from torch import nn

from finetune import evaluate, spans
from finetune.anatomy import of_architecture
from finetune.data.files.images import decoding
from finetune.encode import Examples
from finetune.errors import InputError, missing
from finetune.loading import load_config, load_tokenizer
from finetune.outputs import read_json
from finetune.progress import Silent
from finetune.recipe import Recipe
from finetune.result import Result
from finetune.session import Setup, setup
from finetune.texts import unknown

Input = str | tuple[str, str] | Path | Image.Image  # text, or path of an image; pair of texts; path; image


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a run says about one input."""

    label: str
    probability: float  # of that label
    probabilities: Mapping[str, float]  # of every label, in the run's order; they sum to one
    truncated: bool  # whether the text was longer than what the model reads, and was cut


@dataclass(frozen=True, kw_only=True)
class Value:
    """Which value a run says that one input has."""

    value: float  # in the unit of the data
    truncated: bool  # whether the text was longer than what the model reads, and was cut


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a run writes for one input."""

    text: str
    truncated: bool  # whether the input was longer than what the model reads, and was cut


@dataclass(frozen=True, kw_only=True)
class Span:
    """Words that belong together, and what they are."""

    text: str
    kind: str
    begin: int  # the number of its first word, from 0
    end: int  # and of the word after its last


@dataclass(frozen=True, kw_only=True)
class Tagged:
    """What a run says of each word of one input."""

    words: tuple[str, ...]
    tags: tuple[str | None, ...]  # None: the model did not read the word
    spans: tuple[Span, ...]  # of tags B-, I- and O
    truncated: bool  # whether the text was longer than what the model reads, and was cut


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """A trained model, called with a list of inputs. `module` is the bare one: `module(**batch.inputs).logits`."""

    setup: Setup
    labels: tuple[str, ...]
    module: nn.Module

    @property
    def recipe(self) -> Recipe:
        return self.setup.recipe

    def __call__(self, inputs: Sequence[Input]) -> list[Prediction] | list[Value] | list[Written] | list[Tagged]:
        """One prediction for each input, in their order, computed in batches as in training.

        It is a `Value` of a task whose answers are numbers, a `Written` of one whose answers are texts, a `Tagged` of
        one that tells words, else a `Prediction`.

        Args:
            inputs: texts, or pairs of texts as tuples, or images (paths, or as PIL has them). Spaces divide words.

        Raises:
            InputError: an input is none of these, or not what the model reads, or has nothing in it.
        """
        if isinstance(inputs, str | bytes | Image.Image) or not isinstance(inputs, Iterable):
            raise InputError(f"a predictor takes a list of inputs, also of a single one; got {inputs!r:.100}")
        inputs = list(inputs)
        if not inputs:
            return []
        check_filled(inputs)
        examples, progress = self.encode(inputs), self.setup.progress
        progress.start("predict", examples.tokens, "tok")
        respond, accelerator = self.setup.respond, self.setup.accelerator
        responses = evaluate.predict(self.module, examples, accelerator, progress, respond).responses
        progress.end()
        if examples.places is not None:
            return self._tagged(responses, examples, inputs)
        shares_NC = self.recipe.task.probabilities(responses)
        return self._said(responses, examples) if shares_NC is None else self._read(responses, shares_NC, examples)

    def encode(self, inputs: Sequence[Input]) -> Examples:
        """What the model reads of the inputs: `batch(indices)` of it is a batch."""
        rows = _pictures(inputs) if self._sees else _texts(inputs, self.recipe)
        return self.recipe.task.encode(lambda: rows, self.setup.weights, key="")

    def unknown(self, inputs: Sequence[Input]) -> list[tuple[int, int]]:
        """Of each input how many tokens the run's tokenizer does not know, and of how many: 0 of 0 of an image.

        To the model all of them are the same, whatever was meant.
        """
        if self._sees:
            return [(0, 0)] * len(inputs)
        tokenizer = load_tokenizer(self.setup.weights)
        texts = [given if isinstance(given, tuple) else (given,) for given in inputs]
        counts = [unknown(tokenizer, each) for each in texts]  # pyright: ignore[reportArgumentType]
        return [(sum(lost for lost, _ in each), sum(count for _, count in each)) for each in counts]

    @property
    def _sees(self) -> bool:
        """Whether inputs are images."""
        return of_architecture(load_config(self.setup.weights).model_type).reads == "image"

    def _said(self, responses: np.ndarray, examples: Examples) -> list[Value] | list[Written]:
        outputs, cut = self.recipe.task.predict(responses), set(examples.cut)
        said = [(each, number in cut) for number, each in enumerate(outputs.tolist())]
        if outputs.dtype.kind == "f":
            return [Value(value=value, truncated=truncated) for value, truncated in said]
        return [Written(text=text, truncated=truncated) for text, truncated in said]

    def _tagged(self, responses: np.ndarray, examples: Examples, inputs: Sequence[Any]) -> list[Tagged]:
        outputs, cut, found = self.recipe.task.predict(responses), set(examples.cut), []
        for number, (text, output) in enumerate(zip(inputs, outputs, strict=True)):
            words = tuple(text.split())
            tags = tuple(None if tag < 0 else self.labels[tag] for tag in output.tolist())
            kept = spans.spans([tag or spans.OUTSIDE for tag in tags]) if spans.are_tags(self.labels) else []
            together = tuple(
                Span(text=" ".join(words[begin:end]), kind=kind, begin=begin, end=end) for begin, end, kind in kept
            )
            found.append(Tagged(words=words, tags=tags, spans=together, truncated=number in cut))
        return found

    def _read(self, responses: np.ndarray, shares_NC: np.ndarray, examples: Examples) -> list[Prediction]:
        outputs, cut = self.recipe.task.predict(responses).tolist(), set(examples.cut)
        return [
            Prediction(
                label=self.labels[output],
                probability=shares[output],
                probabilities=dict(zip(self.labels, shares, strict=True)),
                truncated=number in cut,
            )
            for number, (output, shares) in enumerate(zip(outputs, shares_NC.tolist(), strict=True))
        ]


def check_filled(inputs: Sequence[Input]) -> None:
    """
    Raises:
        InputError: an input has nothing in it. Of a pair one half may be empty, as in rows.
    """
    for number, given in enumerate(inputs, 1):
        texts = given if isinstance(given, tuple) else (given,)
        if all(isinstance(text, str) and not text.strip() for text in texts):
            raise InputError(f"input {number} is empty, of which nothing can be said: got {given!r}")


def load(folder: str | Path, *, recipe: Recipe | None = None, progress: Silent | None = None) -> Predictor:
    """The predictor of a finished run. It needs the run's folder and its checkpoint, and none of its data.

    Args:
        folder: of the run, as `outputs/<recipe>/<method>-seed<seed>-<fingerprint>`.
        recipe: the one that was run. Only for parts that are code of yours: others are read from the folder.

    Raises:
        InputError: the folder holds no finished run, or its checkpoint is no longer what it was trained on.
    """
    folder = Path(folder).expanduser().absolute()
    result = _result(folder)
    recipe = _recipe(folder, result, recipe)
    revision = result.weights["revision"]
    if revision:  # the commit it was, whatever the branch stands for today
        recipe = replace(recipe, checkpoint=replace(recipe.checkpoint, revision=revision))  # pyright: ignore
    recipe = replace(recipe, task=recipe.task.settled(result.labels, result.values))
    here = setup(recipe, progress=progress)
    if here.weights.sha256 != result.weights["sha256"]:
        raise InputError(
            f"{folder} was trained on weights with sha256 {result.weights['sha256']}, its checkpoint now has "
            f"{here.weights.sha256}"
        )
    try:
        module = recipe.method.restore(here.pretrained(result.labels), folder)
    except (OSError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"what {folder} saved in {result.saved}/ cannot be read: {reason}") from error
    return Predictor(setup=here, labels=result.labels, module=module)


def _result(folder: Path) -> Result:
    stored = read_json(folder / "result.json")
    if stored is None:
        runs = sorted(path.parent.name for path in folder.glob("*/result.json"))
        below = f"; there are runs below it: {', '.join(runs[:5])}{' …' if len(runs) > 5 else ''}" if runs else ""
        raise InputError(f"{folder} holds no finished run: there is no result.json{below}")
    result = Result.from_json(stored)
    if result.status == "diverged":
        raise InputError(f"{folder} holds a run that diverged: there is no model of it that predicts")
    if result.broken:
        raise InputError(f"{folder} holds a run that failed: {'; '.join(result.broken)}")
    return result


def _recipe(folder: Path, result: Result, given: Recipe | None) -> Recipe:
    if given is not None and given.to_json() != result.recipe:
        raise InputError(f"{folder} was run with another recipe than the one given; see its recipe.json")
    try:
        return given or Recipe.from_json(result.recipe)
    except InputError as error:
        raise InputError(f"{error}; a part that is code of yours needs its recipe: load(folder, recipe=…)") from error


def _texts(inputs: Sequence[Any], recipe: Recipe) -> datasets.Dataset:
    pairs = isinstance(inputs[0], tuple)
    if pairs != (getattr(recipe.data, "text_pair", None if not pairs else "") is not None):
        wanted = "single texts" if pairs else "pairs of texts, each a tuple of two"
        raise InputError(f"{recipe.label} was trained on {wanted}, got {inputs[0]!r:.100}")
    for number, given in enumerate(inputs, 1):
        texts = given if pairs and isinstance(given, tuple) and len(given) == 2 else (given,)
        if len(texts) != 1 + pairs or not all(isinstance(text, str) for text in texts):
            wanted = "a tuple of two texts, as the first is" if pairs else "a text"
            raise InputError(f"input {number} must be {wanted}, got {given!r:.100}")
    columns = {"text": [given[0] for given in inputs], "text_pair": [given[1] for given in inputs]} if pairs else {}
    return datasets.Dataset.from_dict({"id": list(map(str, range(len(inputs))))} | (columns or {"text": list(inputs)}))


def _pictures(inputs: Sequence[Any]) -> datasets.Dataset:
    for number, given in enumerate(inputs, 1):
        if isinstance(given, Image.Image):
            with decoding(f"input {number}"):
                given.load()
            continue
        if not isinstance(given, str | Path):
            raise InputError(f"input {number} must be an image or a path to one, got {given!r:.100}")
        path = Path(given)
        if not path.is_file():
            raise missing("image", path)
        with decoding(str(path)), Image.open(path) as image:
            image.load()
    shown = [given if isinstance(given, Image.Image) else str(given) for given in inputs]
    features = datasets.Features({"id": datasets.Value("string"), "image": datasets.Image()})
    return datasets.Dataset.from_dict({"id": list(map(str, range(len(inputs)))), "image": shown}, features=features)
