"""Which words of a source a finished run looks at, for each token that it writes.

L layers, H heads, T tokens written, S source tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from finetune.attention.maps import Watched, watching
from finetune.errors import InputError, one_of
from finetune.loading import load_tokenizer
from finetune.predict import Predictor
from finetune.seen import words
from finetune.transformer.blocks import Block
from finetune.transformer.systems.recurrent import Reader, SourceAttention

ALL = "all"


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """What was read and written, and the weights of every layer's cross-attention; a recurrent network's has one."""

    source: tuple[str, ...]
    written: tuple[str, ...]  # with the end
    truncated: bool
    maps_LHTS: list[Tensor]  # float32, one for each layer: (H, T, S)

    def panels(self, wanted: str | None) -> dict[str, np.ndarray]:
        """The weights (T, S) of each head of a layer, by default the last; of `all` the mean of each layer's heads.

        Raises:
            InputError: there is no such layer.
        """
        count = len(self.maps_LHTS)
        numbers = {str(number): number for number in range(1, count + 1)}
        if wanted not in (None, ALL, *numbers):
            raise one_of("layer of --layer", str(wanted), [*numbers, ALL])
        if wanted == ALL:
            return {f"layer {number}": maps_HTS.mean(0).numpy() for number, maps_HTS in enumerate(self.maps_LHTS, 1)}
        layer = numbers.get(wanted or "", count)
        maps_HTS = self.maps_LHTS[layer - 1]
        if len(maps_HTS) == 1:
            return {f"layer {layer} of {count}" if count > 1 else "": maps_HTS[0].numpy()}
        return {f"layer {layer}, head {number}": each_TS.numpy() for number, each_TS in enumerate(maps_HTS, 1)}

    def facts(self, wanted: str | None) -> list[tuple[str, str, str]]:
        """Each token that was written, and what of the source it looks at most in the mean of all panels, in %."""
        mean_TS = np.mean(list(self.panels(wanted).values()), axis=0)
        most_T = mean_TS.argmax(1).tolist()
        return [
            (token, self.source[most], f"{100 * weights_S[most]:.0f}")
            for token, most, weights_S in zip(self.written, most_T, mean_TS, strict=True)
        ]


def align(predictor: Predictor, text: str) -> Alignment:
    """Write as the run does, then read what was written once more, with somebody watching.

    Raises:
        InputError: the text is empty, or nothing in the run's network looks from what it writes to what it reads.
    """
    if not text.strip():
        raise InputError(f"a text to be translated is empty, and there is nothing in it to look at: got {text!r}")
    model = next(child for child in predictor.module.modules() if isinstance(child, PreTrainedModel))
    modules, task = _looking(model, predictor.recipe.label), predictor.recipe.task
    examples = predictor.encode([text])
    inputs = examples.batch(np.array([0])).to(predictor.setup.accelerator.device, torch.float32).inputs
    source = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    generate: Any = model.eval().generate
    with torch.inference_mode():
        said_1T = generate(**source, max_new_tokens=task.max_target, num_beams=task.beams)  # pyright: ignore
        before_1T = torch.cat([inputs["decoder_input_ids"][:, :1], said_1T[:, :-1]], dim=1)
        with watching(modules) as maps_L1HTS:
            model(**source, decoder_input_ids=before_1T)
    tokenizer = load_tokenizer(predictor.setup.weights)
    return Alignment(
        source=words(tokenizer, source["input_ids"][0].tolist()),
        written=words(tokenizer, said_1T[0].tolist()),
        truncated=bool(examples.truncated),
        maps_LHTS=[maps_1HTS[0].float().cpu() for maps_1HTS in maps_L1HTS],
    )


def _looking(model: PreTrainedModel, label: str) -> list[Watched]:
    """What looks at the source, first layer to last."""
    found: list[Watched] = []
    for module in model.modules():
        if isinstance(module, SourceAttention):
            found.append(module)
        elif isinstance(module, Block) and module.cross is not None:
            found.append(module.cross)
    if found:
        return found
    if any(isinstance(module, Reader) for module in model.modules()):
        raise InputError(
            f"{label} squeezes its source into one vector: nothing looks at words of it; one with "
            "checkpoint.system.attention does"
        )
    raise InputError(
        f"{label} is a {model.config.model_type}: only encoder–decoders from scratch show what their words look at"
    )
