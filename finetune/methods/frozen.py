"""Feature extraction: the backbone stays as it is, and a linear head learns from what it says.

N examples of a batch, E width.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from finetune.anatomy import backbone
from finetune.errors import InputError
from finetune.features import LAST, POOLINGS, check_pooling, layers, pool
from finetune.head import Head
from finetune.methods import Material, Method, Pretrained, Solved, Trainee
from finetune.objective import Objective
from finetune.precision import cast
from finetune.sweep import sweep

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from transformers.modeling_outputs import SequenceClassifierOutput


@dataclass(frozen=True, kw_only=True)
class Frozen(Solved):
    """Every example goes through the backbone once; the head is solved for.

    Of classes it is a penalised logistic regression, of values a ridge regression in closed form.

    Which vector stands for an example matters more than most of what is tuned: `layer` counts from what the embeddings
    say (0) or from the end (-1), `pooling` is the first token's (cls), the mean over all tokens, or the last token's.
    Each of the three may be None: then it is whichever is best on the validation rows.
    """

    layer: int | None = LAST
    pooling: str | None = "mean"
    penalty: float | None = 5e-3  # half of it times the sum of the head's squared weights is added to the mean loss

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pooling is not None:
            check_pooling(self.pooling)
        if self.penalty is not None and not 0 <= self.penalty < math.inf:
            raise InputError(f"method.penalty must be at least 0 and finite, got {self.penalty}")

    def candidates(self, count: int) -> Sequence[Method]:
        """One, which is all: to solve for every head at once takes less than a single training."""
        return [replace(self, layer=None, pooling=None, penalty=None)]

    def settled(self, choice: Mapping[str, Any]) -> Frozen:
        return replace(self, **{name: choice[name] for name in ("layer", "pooling", "penalty")})

    def trainee(self, material: Material) -> Trainee:
        objective = self.objective(material)
        if None in (self.layer, self.pooling, self.penalty):
            return self._chosen(material, objective)
        layer, pooling, penalty = self.layer, self.pooling, self.penalty
        assert layer is not None
        assert pooling is not None
        assert penalty is not None
        features, facts = material.extraction(
            lambda: material.build(material.weights)[0], material.examples, pooling, layer
        )
        train = features["train"]
        # the head is small: it is in float32, whatever the device is fast in
        head = Head(train.features_NE, objective.outputs, layer, pooling).to(material.device)
        return Trainee(
            module=head,
            examples=features,
            parameters=facts.parameters + sum(parameter.numel() for parameter in head.parameters()),
            feature_seconds=facts.seconds,
            feature_memory=facts.peak_memory_bytes,
            solve=partial(head.solve, objective, train, penalty),
        )

    def _chosen(self, material: Material, objective: Objective) -> Trainee:
        """The same with every field that was left open settled on the validation rows."""
        stored, _ = material.extraction.every(
            lambda: material.build(material.weights)[0],
            {part: material.examples[part] for part in ("train", "validation")},
            among=POOLINGS if self.pooling is None else (self.pooling,),
            last=self.layer == LAST,
        )
        started = time.perf_counter()
        found = sweep(
            stored,
            material.examples,
            objective,
            self.layer,
            objective.penalties if self.penalty is None else (self.penalty,),
            material.extraction.progress,
        )
        seconds = time.perf_counter() - started
        settled = self.settled(asdict(found.best))
        return replace(settled.trainee(material), choice=found.to_json(), choice_seconds=seconds)

    def says(self, module: nn.Module) -> dict[str, Any]:
        assert isinstance(module, Head)
        return {"layer": module.layer, "pooling": module.pooling}

    def restore(self, start: Pretrained, folder: Path) -> nn.Module:
        # a head from before there was a choice does not say where it reads
        stored, told = self.saved(folder), {"layer": self.layer, "pooling": self.pooling} | self.told(folder)
        head = Head(stored["centre_E"][None], self.objective(start).outputs, told["layer"], told["pooling"])
        head.load_state_dict(stored)
        model, own = start.build(start.weights)
        body = cast(backbone(self.prepare(model, own)), start.device, start.dtype)
        return Probe(body, head.to(start.device)).eval()


class Probe(nn.Module):
    """Backbone, pooling and head as one predictor, for inputs whose features nobody has taken yet."""

    def __init__(self, body: PreTrainedModel, head: Head) -> None:
        super().__init__()
        self.body, self.head = body, head

    def forward(self, **inputs: Tensor) -> SequenceClassifierOutput:
        hidden_NTE = layers(self.body, inputs, every=self.head.layer != LAST)[self.head.layer]
        return self.head(pool(hidden_NTE, inputs)[self.head.pooling])
