"""What a decoder makes of text, a token after the other: the loss it was pretrained on.

N examples, T tokens, M tokens that have one before them, E width.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import nn

from finetune import batches
from finetune.anatomy import of_architecture
from finetune.checkpoint import Weights, weight_files
from finetune.encode import Examples
from finetune.loading import load_config, load_model
from finetune.precision import cast, tokens_per_pass
from finetune.progress import Silent

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PORTION = 512  # tokens scored at a time: each has a number for every word of the vocabulary


def head_of(weights: Weights, attention: str, device: torch.device, dtype: torch.dtype) -> nn.Module | None:
    """The checkpoint's own scores of the next token; None where it has none, and where it is not one that writes."""
    if not of_architecture(load_config(weights).model_type).causal:
        return None
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng(devices=[]):  # a head that is not there is drawn, and then not taken
        model, _ = load_model(weights, AutoModelForCausalLM, attention=attention)
    found = model.get_output_embeddings()
    if found is None or not (_tied(model, found) or _stored(model, found, weights)):
        return None
    return cast(found, device, dtype).eval()


def _tied(model: PreTrainedModel, head: nn.Module) -> bool:
    """Whether the words that are read are those that are written."""
    return head.weight is model.get_input_embeddings().weight


def _stored(model: PreTrainedModel, head: nn.Module, weights: Weights) -> bool:
    name = next(name for name, parameter in model.named_parameters() if parameter is head.weight)
    return any(name in _names(path) for path in weight_files(weights.folder))


def _names(path: Path) -> set[str]:
    """Of the tensors in a file."""
    with safe_open(path, "pt") as file:
        return set(file.keys())


@torch.inference_mode()
def losses(
    body: PreTrainedModel, head: nn.Module, examples: Examples, device: torch.device, progress: Silent
) -> tuple[np.ndarray, np.ndarray]:
    """The loss of each example in nats, summed over its tokens but the first, and how many those are."""
    nats_N, tokens_N = np.zeros(len(examples)), np.zeros(len(examples))
    dtype = next(body.parameters()).dtype
    progress.start("language", examples.tokens, "tok")
    for indices in batches.sweep(examples.lengths, tokens_per_pass(device)):
        batch = examples.batch(indices, batches.multiple(len(indices))).to(device, dtype)
        hidden_NTE = body(**batch.inputs).last_hidden_state[:, :-1]
        there_NT = batch.inputs["attention_mask"][:, 1:].bool()
        asked_ME, next_M = hidden_NTE[there_NT], batch.inputs["input_ids"][:, 1:][there_NT]
        each_M = [
            F.cross_entropy(head(portion_ME).float(), known_M, reduction="none")
            for portion_ME, known_M in zip(asked_ME.split(PORTION), next_M.split(PORTION), strict=True)
        ]
        loss_NT = torch.zeros(there_NT.shape, device=device).masked_scatter_(there_NT, torch.cat(each_M))
        nats_N[indices] = loss_NT.sum(dim=1).double().cpu().numpy()
        tokens_N[indices] = there_NT.sum(dim=1).cpu().numpy()
        progress.advance(int(examples.lengths[indices].sum()))
    progress.end()
    return nats_N, tokens_N
