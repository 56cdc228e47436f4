"""One recipe → one result. A run that is done is not done again."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from finetune import allocator, evaluate, integrity, measure, zero
from finetune.attention.multihead import Attention
from finetune.attention.swap import save_learned
from finetune.evaluate import Predictions
from finetune.exchange import of_first
from finetune.items import Items
from finetune.keeper import Keeper, RunKeeper
from finetune.methods import Material, Trainee
from finetune.outputs import RunFolder, flush_all, size, writing
from finetune.peers import Lost, named, others
from finetune.progress import Silent
from finetune.recipe import Recipe
from finetune.repeatable import undisturbed
from finetune.result import Result
from finetune.session import SPLITS, Session, Shelf, session
from finetune.signals import Signals, Stopped
from finetune.stats import Estimate
from finetune.train import Fit, fit, solved


def run(
    recipe: Recipe, *, out: str | Path = "outputs", progress: Silent | None = None, shelf: Shelf | None = None
) -> Result:
    """The result of a recipe: read, if this run was finished before, else computed and written.

    Raises:
        InputError: something the user gave cannot work; nothing finished is lost.
    """
    with others().needed():
        here = session(recipe, progress=progress, shelf=shelf)
        folder = here.folder(out)
        before, record = of_first(lambda: (folder.finished(), folder.result()), here.accelerator)
        if record is None:
            record = _once(here, folder)
        result = Result.from_json(record)
        if here.accelerator.is_main_process:
            folder.settle(result.status)
    return replace(result, folder=folder.path, before=before)


def _once(here: Session, folder: RunFolder) -> Any:
    """The record of a run that is computed now, unless another process does."""
    signals = Signals(here.progress.say)
    with ExitStack() as held, signals.heard(), undisturbed(here.accelerator.device):

        def take() -> Any:
            held.enter_context(folder.lock())
            return folder.result()  # there is one where who held the lock a moment ago has finished it

        if of_first(take, here.accelerator) is None:
            _told(here, folder, partial(_execute, here, folder, signals))
    return of_first(folder.result, here.accelerator)


def _told(here: Session, folder: RunFolder, execute: Callable[[], None]) -> None:
    """What becomes of it before there is a result stands in the folder: launchers give an exit code of their own."""
    say = folder.status if here.accelerator.is_main_process else _unsaid
    say("running")
    try:
        with others().telling(folder.lost), named():
            execute()
    except Lost as lost:
        folder.lost(lost.why)  # whichever process is left
        raise
    except Stopped as stopped:
        say("stopped", signal=stopped.name, updates=stopped.step)
        raise
    except BaseException as error:
        say("failed", why=f"{type(error).__name__}: {error}")
        raise


def _unsaid(state: str, **more: Any) -> None: ...


def _execute(here: Session, folder: RunFolder, signals: Signals) -> None:
    """Train, predict, save. The first process writes."""
    recipe, accelerator, clock, waiting = here.recipe, here.accelerator, measure.Clock(), measure.Waiting()
    writes = accelerator.is_main_process
    keeper = RunKeeper(folder, here.fingerprint, recipe.budget.snapshot_every, signals, accelerator, here.progress)
    if writes:
        folder.begin()
        folder.write("recipe.json", recipe.to_json())
    with measure.PeakMemory(accelerator.device) as memory:
        with clock.time("data"):
            material = here.material()
        torch.manual_seed(recipe.seed)  # the head's first weights, equal in every process
        with clock.time("load"):
            trainee = recipe.method.trainee(material)
        before = integrity.sums(trainee.module) if writes and not recipe.split.closed else {}
        torch.manual_seed(recipe.seed + (accelerator.process_index << 32))  # dropout, different in every process
        done = train(here, trainee, keeper)
        with clock.time("eval"):
            predicted = {} if done.diverged else {part: _predict(here, trainee, part) for part in here.parts[1:]}
            own = _own(here, trainee, material, predicted["test"]) if "test" in predicted else {}
    clock.seconds |= {"features": trainee.feature_seconds, "train": done.seconds + trainee.choice_seconds}
    if writes:
        idle = done.unreached if _holds_ours(trainee.module) else []
        said = _sample(here, trainee, material, predicted.get("test"))
        done.unround()
        allocator.return_freed()  # saving needs room for the whole model once more
        peak = max(memory.bytes, trainee.feature_memory)
        result = _result(here, trainee, done, predicted, own, clock.seconds, peak, waiting)
        if said is not None:
            with writing(folder.path):
                saved = recipe.method.save(trainee.module, material, folder.path)
                save_learned(trainee.module, saved)
                result = replace(result, saved=saved.name, saved_bytes=size(saved))
                recipe.task.save_encoder(here.weights, saved)
            folder.write_lines("predictions.jsonl", _lines(here, predicted["test"]))
            # what is saved is tried once more, as those who use it will find it
            lost = [*integrity.broken(trainee.module, before, idle), *integrity.repeated(predicted["test"].ids)]
            examples = material.examples["test"]
            del trainee  # there must be room for the model that was saved
            restored = recipe.method.restore(here.pretrained(result.labels), folder.path)
            lost += integrity.apart(restored, examples, said, accelerator.device)
            if (merge := recipe.method.merge) is not None:
                lost += integrity.unlike(restored, merge, examples, accelerator.device)
            result = replace(result, status="failed" if lost else "done", broken=tuple(lost))
        with writing(folder.path):
            flush_all(folder.path)
        folder.write("result.json", result.to_json())


def _sample(
    here: Session, trainee: Trainee, material: Material, predicted: Predictions | None
) -> integrity.Sample | None:
    """None: the test set stayed closed, or training came to nothing; then there is nothing to save either."""
    if predicted is None:
        return None
    examples, device = material.examples["test"], here.accelerator.device
    return integrity.sample(trainee.module, examples, predicted.responses, device, here.respond)


def _holds_ours(module: nn.Module) -> bool:
    """Whether there is an attention of ours inside: some look at no query and key, which no gradient comes to then."""
    return any(isinstance(each, Attention) for each in module.modules())


def train(here: Session, trainee: Trainee, keeper: Keeper) -> Fit:
    """Train by the loop, or by a shorter way where the method knows one."""
    recipe, task = here.recipe, here.task
    if trainee.solve is not None:
        return solved(trainee.solve, trainee.examples["train"], here.progress)

    def validate() -> float:
        predictions = _predict(here, trainee, "validation")
        outputs = task.predict(predictions.responses)
        scores = task.score(predictions.targets, outputs, here.facts().labels)
        return next(iter(scores.values())).value

    with keeper.waiting():
        done = fit(
            trainee.module,
            trainee.examples["train"],
            loss=task.loss,
            units=task.units(trainee.examples["train"]),
            training=recipe.method.training(trainee.module),
            reached=trainee.reached,
            optim=recipe.method.optim,
            budget=recipe.method.budget(recipe.budget),
            seed=recipe.seed,
            accelerator=here.accelerator,
            validate=validate,
            keeper=keeper,
            progress=here.progress,
        )
    if zero.stage() is not None:
        gc.collect()  # shares hold each other by their hooks, and would stay beside the whole model
    return done


def _predict(here: Session, trainee: Trainee, part: str) -> Predictions:
    examples = trainee.examples[part]
    here.progress.start(part, examples.tokens, "tok")
    predictions = evaluate.predict(trainee.module, examples, here.accelerator, here.progress, here.respond)
    here.progress.end()
    return predictions


def _lines(here: Session, predictions: Predictions) -> list[dict[str, Any]]:
    """What was predicted for every test example, so that any two runs can be paired later."""
    lines = here.task.lines(predictions.targets, predictions.responses, here.facts().labels)
    return [{"id": id_, **line} for id_, line in zip(predictions.ids, lines, strict=True)]


def _own(here: Session, trainee: Trainee, material: Material, predictions: Predictions) -> Mapping[str, Estimate]:
    return here.recipe.method.scores(trainee, material, predictions.responses, here.groups("test"))


def _items(here: Session, predictions: Predictions | None, measured_N: np.ndarray | None) -> Items | None:
    if predictions is None:
        return None
    task = here.task
    right_N = task.right(predictions.targets, task.predict(predictions.responses))
    return None if right_N is None else Items.of(predictions.ids, right_N, measured_N, here.groups("test"))


def _unseen(labels: Sequence[str], answers: np.ndarray) -> tuple[str, ...]:
    seen = set(answers.tolist())
    return tuple(label for number, label in enumerate(labels) if number not in seen)


def _loss(here: Session, predictions: Predictions | None) -> float | None:
    if predictions is None:
        return None
    shares_NC = here.task.probabilities(predictions.responses)
    if shares_NC is None:
        return None
    right_N = shares_NC[np.arange(len(shares_NC)), predictions.targets]
    return float(-np.log(np.maximum(right_N, np.finfo(float).tiny)).mean())


def _result(
    here: Session,
    trainee: Trainee,
    done: Fit,
    predicted: Mapping[str, Predictions],
    own: Mapping[str, Estimate],
    seconds: Mapping[str, float],
    memory: int,
    waiting: measure.Waiting,
) -> Result:
    recipe, task, examples, splits = here.recipe, here.task, trainee.examples, here.facts()
    scores = {
        part: task.score(p.targets, task.predict(p.responses), splits.labels, here.groups(part))
        for part, p in predicted.items()
    }
    return Result(
        status="diverged" if done.diverged else "done",
        recipe=recipe.to_json(),
        method=recipe.method_name,
        fingerprint=here.fingerprint,
        scores={**scores.get("test", {}), **own},
        validation=scores.get("validation", {}),
        items=_items(here, predicted.get("test"), examples["test"].measured if "test" in examples else None),
        validation_loss=_loss(here, predicted.get("validation")),
        choice=trainee.choice,
        opened=None,
        shared=None,
        broken=None,
        labels=splits.labels,
        values=splits.values,
        unseen=_unseen(splits.labels, examples["train"].answers),
        rows=dict.fromkeys(SPLITS, 0) | {part: len(examples[part]) for part in here.parts},
        truncated={part: examples[part].truncated for part in here.parts},
        test_rows_in_train=splits.test_rows_in_train,
        parameters={"total": trainee.parameters, "trained": trainee.trained},
        seconds=seconds,
        examples_per_second=done.examples / done.seconds,
        tokens_per_second=done.tokens / done.seconds,
        updates=done.updates,
        epochs=done.epochs,
        peak_memory_bytes=memory,
        saved="",
        saved_bytes=0,
        precision=str(here.dtype).removeprefix("torch."),
        attention=here.attention,
        weights={
            "sha256": here.weights.sha256,
            "settings": here.weights.settings,
            "revision": here.weights.revision,
        },
        data={"sha256": here.fetched.sha256, **here.fetched.source},
        environment=measure.environment(here.accelerator, waiting) | {"micro_batch": done.micro_batch},
    )
