"""LoRA: low-rank updates beside frozen weights (Hu and others 2021, arXiv 2106.09685)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from finetune.anatomy import ROLES, backbone, with_blocks
from finetune.errors import InputError, one_of
from finetune.methods import Method, Pretrained, wholly_trained
from finetune.optim import AdamW
from finetune.precision import cast

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True)
class LoRA(Method):
    """W + (alpha / rank) · B A with only A, B and the head trained, by peft. Saved as an adapter for `PeftModel`."""

    rank: int = 8
    alpha: float = 16.0  # the update's scale times the rank
    dropout: float = 0.0  # on what enters A
    targets: tuple[str, ...] = ("query", "value")  # roles in a block: query, key, value, output, mlp
    optim: AdamW = AdamW(learning_rate=5e-4)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rank < 1:
            raise InputError(f"method.rank must be at least 1, got {self.rank}")
        if not 0 <= self.dropout < 1:
            raise InputError(f"method.dropout must be in [0, 1), got {self.dropout}")
        if not self.targets:
            raise InputError(f"method.targets must name at least one role of {', '.join(ROLES)}")
        for role in self.targets:
            if role not in ROLES:
                raise one_of("role in a block", role, ROLES)

    def prepare(self, model: PreTrainedModel, head: tuple[str, ...]) -> nn.Module:
        from peft import LoraConfig, get_peft_model  # seconds to import, and only this method needs it

        body = with_blocks(model)
        config = LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,  # pyright: ignore[reportArgumentType]  (a float in all but its annotation)
            lora_dropout=self.dropout,
            target_modules=body.pattern(self.targets),
            modules_to_save=list(head),
            fan_in_fan_out=body.transposed,
            revision=model.config._commit_hash,
        )
        with _without_deprecations():
            return get_peft_model(model, config, autocast_adapter_dtype=False)

    def training(self, module: nn.Module) -> Iterable[nn.Module]:
        # peft keeps the adapters' dropout apart from their weights
        adapters = [child for name, child in module.named_modules() if name.endswith("lora_dropout")]
        return [*wholly_trained(module), *adapters]

    def body(self, module: nn.Module) -> PreTrainedModel:
        return backbone(module.get_base_model())  # pyright: ignore[reportCallIssue]

    def save(self, module: nn.Module, start: Pretrained, folder: Path) -> Path:
        # told to save no embeddings, or peft asks the hub whether they have changed
        module.save_pretrained(folder / "adapter", save_embedding_layers=False)  # pyright: ignore[reportCallIssue]
        (folder / "adapter" / "README.md").unlink(missing_ok=True)  # a form that nobody filled in
        return folder / "adapter"

    @property
    def merge(self) -> Callable[[nn.Module], nn.Module]:
        return lambda module: module.merge_and_unload()  # pyright: ignore[reportCallIssue]

    def restore(self, start: Pretrained, folder: Path) -> nn.Module:
        from peft import PeftModel

        if not (folder / "adapter" / "adapter_model.safetensors").is_file():  # peft would read a pickle instead
            raise InputError(f"{folder} holds no adapter/adapter_model.safetensors")
        model, _ = start.build(start.weights)
        with _without_deprecations():
            module = PeftModel.from_pretrained(model, str(folder / "adapter"), autocast_adapter_dtype=False)
        return cast(module, start.device, start.dtype).eval()


@contextmanager
def _without_deprecations() -> Iterator[None]:
    """peft 0.21 asks transformers 5.23 for attributes by their old names; nobody but peft can change that."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield
