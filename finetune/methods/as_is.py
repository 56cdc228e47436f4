"""No training: the checkpoint answers as it is, and a head that it has no weights for is as it was drawn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import save_file
from torch import nn

from finetune.methods import HEAD, Material, Pretrained, Solved, Trainee
from finetune.precision import cast


@dataclass(frozen=True, kw_only=True)
class AsIs(Solved):
    """What a model that writes text can do before it was shown how; of a task with labels, chance."""

    def trainee(self, material: Material) -> Trainee:
        model, head = material.build(material.weights)
        return Trainee(
            module=cast(self.prepare(model, head), material.device, material.dtype),
            examples=material.examples,
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            solve=lambda _: 0,  # passes over the rows
        )

    def save(self, module: nn.Module, start: Pretrained, folder: Path) -> Path:
        """The head alone: everything else is the checkpoint's."""
        _, names = start.build(start.weights)
        path, begins = folder / HEAD, tuple(f"{name}." for name in names)
        path.parent.mkdir(exist_ok=True)
        save_file(
            {name: each for name, each in module.state_dict().items() if begins and name.startswith(begins)}, path
        )
        return path.parent

    def restore(self, start: Pretrained, folder: Path) -> nn.Module:
        model, head = start.build(start.weights)
        model.load_state_dict(self.saved(folder), strict=False)
        return cast(self.prepare(model, head), start.device, start.dtype).eval()
