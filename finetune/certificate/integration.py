"""What a swapped model must still do, be it the checkpoint's own attention or an intervention: tried on a few rows.

B batch, T queries, S keys, E model width.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel

from finetune.anatomy import backbone, blocks
from finetune.attention.maps import attention_maps
from finetune.attention.masks import Mask
from finetune.attention.swap import load_learned, save_learned, swap, transplants
from finetune.certificate.pair import (
    FLOAT32,
    REFERENCE,
    Check,
    Pair,
    greatest,
    twin,
    watched,
    whole_error,
    within,
    written,
)
from finetune.loading import load_model, quiet
from finetune.methods.lora import LoRA

WORDS = 5  # to be generated


def swapped(pair: Pair) -> Check:
    """Every block calls ours; a stock attention left in a swapped model would say so instead of running."""
    called, every = len(pair.ours_said.masks), len(blocks(pair.ours))
    return Check("swapped", called == every, f"{called} of {every} blocks")


def repeatable(pair: Pair) -> Check:
    """In eval mode nothing is left to chance."""
    first = pair.ours_said.logits
    torch.manual_seed(1)  # another than it was: what is drawn at random must not be drawn alike
    with torch.no_grad():
        again = pair.ours(**pair.inputs).logits
    return Check("twice the same", torch.equal(first, again), f"differs by {greatest(first - again):.0e}")


def padding(pair: Pair) -> Check:
    """Each text alone, without padding, says what it says in the batch."""
    real_BT, together_BTE = pair.inputs["attention_mask"].bool(), pair.ours_said.states_BTE
    padded = [row for row in range(len(real_BT)) if not real_BT[row].all()]
    found = []
    with torch.no_grad():
        for row in padded:
            alone = {name: each[row : row + 1, real_BT[row]] for name, each in pair.inputs.items()}
            states_TE = backbone(pair.ours)(**alone).last_hidden_state[0]
            found.append(greatest(states_TE - together_BTE[row, real_BT[row]]))
    return pair.alike("padded = unpadded", _most(found) / greatest(together_BTE), f", {len(padded)} texts")


def future(pair: Pair) -> Check:
    """Another last token changes nothing before it, but what it says itself."""
    last = pair.inputs["attention_mask"].sum(1) - 1
    rows, ids_BT = torch.arange(len(last)), pair.inputs["input_ids"].clone()
    ids_BT[rows, last] = (ids_BT[rows, last] + 7) % pair.ours.config.vocab_size
    with torch.no_grad():
        changed_BTE = backbone(pair.ours)(**{**pair.inputs, "input_ids": ids_BT}).last_hidden_state
    moved_BTE = (changed_BTE - pair.ours_said.states_BTE) / greatest(pair.ours_said.states_BTE)
    before_BT = torch.arange(changed_BTE.shape[1])[None] < last[:, None]
    itself = greatest(moved_BTE[rows, last])
    check = pair.alike("the future is not seen", greatest(moved_BTE[before_BT]), f", itself by {itself:.0e}")
    return replace(check, passed=check.passed and itself > FLOAT32)


def cache(pair: Pair) -> Check:
    """A text in pieces, with a cache of keys and values, as all at once."""
    body, ids_BT = backbone(pair.ours), pair.longest
    pieces, states, calls, past = _pieces(ids_BT.shape[1]), [], [], None
    with torch.no_grad():
        whole_BTE = body(input_ids=ids_BT, use_cache=False).last_hidden_state
        with watched(pair.modules[:1], lambda _, keys, mask: calls.append(_sees(keys, mask))):
            for piece_BT in ids_BT.split(pieces, 1):
                said = body(input_ids=piece_BT, past_key_values=past, use_cache=True)
                past = said.past_key_values
                states.append(said.last_hidden_state)
    error = greatest(torch.cat(states, 1) - whole_BTE) / greatest(whole_BTE)
    check = pair.alike("cached = whole", error, f", pieces of {', '.join(map(str, pieces))}")
    return check if check.passed else replace(check, measured=check.measured + _lapse(pieces, calls))


def _pieces(length: int) -> list[int]:
    """Half of a text, then one token, two, one, and the rest."""
    found: list[int] = []
    for size in (max(1, length // 2), 1, 2, 1, length):
        found.append(min(size, length - sum(found)))
    return [size for size in found if size]


def _sees(k_BKSD: Tensor, mask: Mask) -> tuple[int, int]:
    """How many keys there are, and how many of them the first query may look at."""
    keys = k_BKSD.shape[2]
    first = mask.block(slice(0, 1), slice(0, keys), k_BKSD.device)
    return keys, int(first.sum()) if isinstance(first, Tensor) else keys * first


def _lapse(pieces: list[int], calls: list[tuple[int, int]]) -> str:
    """What is wrong with a cache, by how many keys there were and were seen after each piece."""
    read = 0
    for size, (keys, seen) in zip(pieces, calls, strict=True):
        if keys != read + size:
            return f", as if the cache were ignored: {keys} keys, not {read + size}"
        if seen != read + 1:
            return f", as if it were off by {abs(seen - read - 1)}: token {read + 1} sees {seen} keys"
        read += size
    return ""


def generation(pair: Pair) -> Check:
    """The same words with and without a cache, and where it must be, as the checkpoint's own."""
    with quiet(), torch.no_grad():
        said = [_said(pair.ours, pair.longest, cached) for cached in (True, False)]
        said += [_said(pair.stock, pair.longest, True)] if pair.exact else []
    (words_BT, logits_TBV), *others = said
    error = _most([greatest(each_TBV - logits_TBV) for _, each_TBV in others]) / greatest(logits_TBV)
    check = pair.alike("generation", error, f", {len(logits_TBV)} tokens, {len(said)} ways")
    return replace(check, passed=check.passed and all(torch.equal(words_BT, each_BT) for each_BT, _ in others))


def _said(model: PreTrainedModel, ids_BT: Tensor, cached: bool) -> tuple[Tensor, Tensor]:
    """A text with words that go on from its first eight (B, T), and the logits of those (new, B, V).

    Words are read off against the embeddings, as most checkpoints of a size to run here do: no weight is loaded.
    """
    body = backbone(twin(model))
    with torch.device("meta"):
        speaker = AutoModelForCausalLM.from_config(body.config)
    setattr(speaker, speaker.base_model_prefix, body)
    speaker.get_output_embeddings().weight = body.get_input_embeddings().weight
    found = speaker.eval().generate(
        ids_BT[:, :8],
        attention_mask=torch.ones_like(ids_BT[:, :8]),
        use_cache=cached,
        do_sample=False,
        max_new_tokens=WORDS,
        pad_token_id=0,
        output_logits=True,
        return_dict_in_generate=True,
    )
    return found.sequences, torch.stack(found.logits)


def maps(pair: Pair) -> Check:
    """What is shown is what was computed: every block's weights, and the same logits while somebody looks."""
    with attention_maps(pair.ours) as found, torch.no_grad():
        logits = pair.ours(**pair.inputs).logits
    # of queries that may look at something; the rows of the others are zeros
    may = (written(masks[0], *found[0].shape[-2:]).any(-1) for _, masks in sorted(pair.ours_said.masks.items()))
    sums = torch.cat([each.sum(-1)[rows.expand(each.shape[:3])] for each, rows in zip(found, may, strict=False)])
    error = greatest(logits - pair.ours_said.logits) / greatest(logits)
    low, high = float(sums.min()), float(sums.max())
    check = pair.alike("attention maps", error, f", {len(found)} maps, rows sum to {low:.4f} … {high:.4f}")
    sound = greatest(sums - 1) < 1e-4 if pair.exact else bool(sums.isfinite().all())
    return replace(check, passed=check.passed and sound and len(found) == len(pair.modules))


def learns(pair: Pair) -> Check:
    """Everything a core has to learn gets a gradient in every block."""
    own = [name for name, _ in pair.ours.named_parameters() if ".learned." in name]
    reached = [name for name in own if name in pair.ours_said.gradients and pair.ours_said.gradients[name].any()]
    return Check(
        "what the core learns", len(reached) == len(own), f"{len(reached)} of {len(own)} tensors get a gradient"
    )


def lora(pair: Pair) -> Check:
    """LoRA finds as many targets as in the checkpoint's own, and all of them learn."""
    stock, ours = (LoRA().prepare(twin(model), pair.head) for model in (pair.stock, pair.ours))
    ours(**pair.inputs).logits.square().sum().backward()
    found, learned = ([each for name, each in model.named_parameters() if "lora_B" in name] for model in (stock, ours))
    learning = sum(each.grad is not None and bool(each.grad.any()) for each in learned)
    # no attention: its queries and keys change nothing, and so they do not learn
    passed = len(found) == len(learned) and (learning == len(learned) if pair.exact else learning > 0)
    return Check(
        "LoRA targets", passed, f"{len(learned)} found and {len(found)} in the checkpoint's own, {learning} learn"
    )


def checkpointing(pair: Pair) -> Check:
    """Blocks computed again on the way back give the same gradients."""
    model = twin(pair.ours)
    # transformers has renamed it, and from version 6 on has the new name only
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    enable({"use_reentrant": False})
    for part in (backbone(model), *blocks(model)):
        part.training = True  # they alone: what is inside stays in eval mode, for dropout would differ
    with quiet():  # it says that it will do without a cache of keys
        again = pair.ask(model)
    error = whole_error(pair.ours_said.gradients, again.gradients)
    twice = sum(len(calls) == 2 for calls in again.masks.values())
    check = within("gradient checkpointing", error, 1e-5, f", {twice} of {len(pair.modules)} blocks computed twice")
    return replace(check, passed=check.passed and twice == len(pair.modules))


def saved(pair: Pair) -> Check:
    """Saved, loaded and swapped again: the same logits, with what the core might have learned."""
    model = twin(pair.ours)
    for module in transplants(model):
        for name, tensor in module.learned.items():
            tensor.data = pair.learned[name].float()
    with tempfile.TemporaryDirectory() as folder, quiet():
        model.save_pretrained(folder)
        save_learned(model, Path(folder))
        weights = replace(pair.here.weights, folder=Path(folder))
        again = swap(load_model(weights, type(pair.stock), attention=REFERENCE)[0], pair.attention).eval()
        load_learned(again, Path(folder))
    with torch.no_grad():
        error = greatest(again(**pair.inputs).logits - model(**pair.inputs).logits)
    return Check("saved and loaded", error == 0, f"off by {error:.0e}")


def _most(errors: list[float]) -> float:
    return float(torch.tensor(errors).max())  # which a NaN is, other than for Python
