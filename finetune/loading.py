"""A fetched checkpoint as a model, a tokenizer, an image processor: loaded safely, or refused.

Safetensors only, never a pickle; code that comes with a checkpoint is never run; what a checkpoint lacks is an error
unless it is the head; a config does not get to choose the attention code.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError

from finetune.anatomy import head
from finetune.checkpoint import Weights, weight_files
from finetune.errors import InputError

if TYPE_CHECKING:  # transformers takes seconds to import: who only names a checkpoint need not wait
    from transformers import PretrainedConfig, PreTrainedModel

OURS = "finetune-"  # how the names of our architectures begin


def load_config(weights: Weights) -> PretrainedConfig:
    from transformers import AutoConfig

    with _reading(weights, "config.json"):
        return AutoConfig.from_pretrained(weights.folder, trust_remote_code=False)


def load_model(
    weights: Weights, auto: Any, *, attention: str, labels: tuple[str, ...] = (), whole: bool = False
) -> tuple[PreTrainedModel, tuple[str, ...]]:
    """A float32 model of the `auto` class and the names of the modules that are its head.

    Modules that the checkpoint lacks are initialised from torch's global generator: seed it first.

    Args:
        whole: the head is the checkpoint's own as well, and none is new.

    Raises:
        InputError: the weights are unreadable, or lack something that is not the head.
    """
    weight_files(weights.folder)
    config = load_config(weights)
    new_labels = labels and tuple((config.id2label or {}).values()) != labels
    if labels:
        config.num_labels = len(labels)  # first: it resets the names
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: index for index, label in enumerate(labels)}
        config.problem_type = None
    with _reading(weights, "weights"):
        model, report = auto.from_pretrained(
            weights.folder,
            config=config,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            attn_implementation=attention,
            ignore_mismatched_sizes=True,  # a head for other labels; anything else is refused below
            output_loading_info=True,
        )
    absent = [*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])]
    own = () if whole else head(model, absent)
    lost = sorted(key for key in absent if not key.startswith(tuple(f"{name}." for name in own)))
    if lost:
        what = "tensors of what writes text" if whole else "backbone tensors"
        raise InputError(f"checkpoint {weights.name} lacks {len(lost)} {what}, the first is {lost[0]!r}")
    model.name_or_path = weights.reference  # what an adapter saved from it will name as its base
    model.config._commit_hash = weights.revision
    if new_labels:
        _renew(model, own)
    return model, own


def _renew(model: PreTrainedModel, names: tuple[str, ...]) -> None:
    """Start the head anew: one trained on other labels, of which there happened to be as many, must not survive."""
    spread = getattr(model.config, "initializer_range", 0.02)
    for name in names:
        for module in model.get_submodule(name).modules():
            if isinstance(module, torch.nn.Linear):
                torch.nn.init.normal_(module.weight, std=spread)
                if module.bias is not None:
                    torch.nn.init.zeros_(module.bias)


def load_tokenizer(weights: Weights) -> Any:
    """The checkpoint's tokenizer, padding on the right with a token that exists."""
    from transformers import AutoTokenizer

    with _reading(weights, "tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(weights.folder, trust_remote_code=False, padding_side="right")
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise InputError(f"the tokenizer of {weights.name} has neither a padding nor an end-of-text token")
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_image_processor(weights: Weights) -> Any:
    from transformers import AutoImageProcessor

    with _reading(weights, "image processor"):
        return AutoImageProcessor.from_pretrained(weights.folder, trust_remote_code=False, backend="pil")


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' own bars and warnings for a while: they would cut through ours."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def _reading(weights: Weights, part: str) -> Iterator[None]:
    """Turns a reader's complaint into one line that names the checkpoint and the part.

    The reader is kept quiet: what it would report of a load is checked here and raised.
    """
    _introduce(weights)
    try:
        with quiet():
            yield
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"cannot read the {part} of checkpoint {weights.name}: {reason}") from error


def _introduce(weights: Weights) -> None:
    """Tell transformers of our own networks, where the checkpoint is one."""
    try:
        config = json.loads((weights.folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return  # whoever reads it says what is wrong with it
    if str(config.get("model_type", "")).startswith(OURS):
        importlib.import_module("finetune.transformer.models")
