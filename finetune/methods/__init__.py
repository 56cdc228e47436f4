"""What learns, and how. A method is a frozen value; the loop trains what it hands over and never asks which it is."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from finetune import sharded
from finetune.anatomy import backbone
from finetune.checkpoint import Weights
from finetune.encode import Examples
from finetune.errors import InputError
from finetune.features import Extraction
from finetune.loading import quiet
from finetune.objective import Objective
from finetune.optim import AdamW, Budget
from finetune.parts import Part
from finetune.precision import cast
from finetune.progress import Silent
from finetune.stats import Estimate

if TYPE_CHECKING:
    from transformers import PreTrainedModel

HEAD = Path("head", "head.safetensors")  # of a run, where a head is all that was trained
SAID = "head"  # the entry of that file which tells what is no tensor


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """What a method starts from."""

    weights: Weights
    labels: tuple[str, ...]
    objective: Objective | None  # of a linear head; None: the task's answers are texts, which no such head gives
    build: Callable[[Weights], tuple[PreTrainedModel, tuple[str, ...]]]  # the task's model, the names of its head
    device: torch.device
    dtype: torch.dtype  # to compute in


@dataclass(frozen=True, kw_only=True)
class Material(Pretrained):
    """What a method starts from, and what it trains on."""

    examples: Mapping[str, Examples]  # by split
    stock: Callable[[], Material]  # the same with the checkpoint's own attention
    extraction: Extraction  # reads features of a backbone once, and remembers them


@dataclass(frozen=True, kw_only=True)
class Trainee:
    """What the loop trains, on its device and in its format, and the examples it reads.

    `module(**batch.inputs).logits` are the predictions; what requires a gradient is what moves.
    """

    module: nn.Module
    examples: Mapping[str, Examples]
    parameters: int  # of the whole predictor, frozen backbone included
    reached: Mapping[nn.Parameter, Tensor] = field(default_factory=dict)  # of a table, the rows that training looks up
    feature_seconds: float = 0.0  # what the features cost that the examples are, now or when they were first taken
    feature_memory: int = 0  # bytes, likewise
    solve: Callable[[Silent], int] | None = None  # a way to the weights without the loop; returns passes over `train`
    choice: Mapping[str, Any] | None = None  # what the method chose on the validation rows, and from what: for JSON
    choice_seconds: float = 0.0

    @property
    def trained(self) -> int:
        """How many parameters may move."""
        return sum(parameter.numel() for parameter in self.module.parameters() if parameter.requires_grad)


class Method(Part, ABC):
    """The contract. A subclass is a frozen dataclass with an `optim` field, in a file of its own in this folder."""

    where: ClassVar[str] = "method"
    reads_once: ClassVar[bool] = False  # each training example, and not again in each epoch
    bare: ClassVar[bool] = False  # whether it has no backbone, whatever the checkpoint is

    optim: AdamW  # of the loop: a method whose trainees are solved has none

    @abstractmethod
    def prepare(self, model: PreTrainedModel, head: tuple[str, ...]) -> nn.Module:
        """The model with exactly the parameters that may move requiring a gradient."""

    def save(self, module: nn.Module, start: Pretrained, folder: Path) -> Path:
        """Write what was trained, in the format its users load it by; returns the folder made for it.

        Unless a method knows better that is a whole model, for `AutoModelFor….from_pretrained` and `pipeline`.
        """
        from transformers import PreTrainedModel

        assert isinstance(module, PreTrainedModel)
        if any(parameter.dtype != torch.float32 for parameter in module.parameters()):
            module = _with_trained(start.build(start.weights)[0], module)
        with quiet():
            module.save_pretrained(folder / "model")
        return folder / "model"

    def restore(self, start: Pretrained, folder: Path) -> nn.Module:
        """What `save` wrote, ready to predict."""
        model, _ = start.build(replace(start.weights, folder=folder / "model"))
        return cast(model, start.device, start.dtype).eval()

    def candidates(self, count: int) -> Sequence[Method]:
        """What to try, where `count` trainings may be spent on choosing: its own learning rates, half a decade apart.

        They lie around the rate that is the class' default, which is of the method alone; the recipe's, which somebody
        chose for one checkpoint, is not asked.
        """
        steps = [(number - (count - 1) / 2) / 2 for number in range(count)]
        rates = [float(f"{type(self).optim.learning_rate * 10**step:.2g}") for step in steps]
        return [self.at_rate(rate) for rate in rates]

    def at_rate(self, rate: float) -> Method:
        """The same with another learning rate."""
        optim = replace(self.optim, learning_rate=rate)
        return replace(self, optim=optim)  # pyright: ignore[reportArgumentType]  (every subclass is a dataclass)

    def settled(self, choice: Mapping[str, Any]) -> Method:
        """With what a trial of it chose within itself."""
        return self

    @property
    def merge(self) -> Callable[[nn.Module], nn.Module] | None:
        """Puts what stands beside the weights of a restored module into them, in place; None: nothing stands there."""
        return None

    def body(self, module: nn.Module) -> PreTrainedModel | None:
        """The backbone within what `restore` gave; None: the method moves none, so it is the checkpoint's own still."""
        from transformers import PreTrainedModel

        assert isinstance(module, PreTrainedModel)
        return backbone(module)

    def trainee(self, material: Material) -> Trainee:
        model, head = material.build(material.weights)
        count = sum(parameter.numel() for parameter in model.parameters())
        module = cast(self.prepare(model, head), sharded.rest(material.device), material.dtype)
        reached = _reached(model, material.examples["train"])
        return Trainee(module=module, examples=material.examples, parameters=count, reached=reached)

    def budget(self, budget: Budget) -> Budget:
        """The loop's budget, given the recipe's, which is for training the backbone."""
        return budget

    def scores(
        self, trainee: Trainee, material: Material, logits_NC: np.ndarray, groups_N: np.ndarray | None
    ) -> Mapping[str, Estimate]:
        """What a method has to say of the test predictions beside the task's scores, over groups of rows if any."""
        return {}

    def training(self, module: nn.Module) -> Iterable[nn.Module]:
        """The modules in training mode during an update; the others are in eval mode: frozen means no dropout."""
        return wholly_trained(module)


class Solved(Method):
    """A method that trains no weight of the model: beside it stands a head that is solved for, and saved alone."""

    reads_once: ClassVar[bool] = True

    def prepare(self, model: PreTrainedModel, head: tuple[str, ...]) -> PreTrainedModel:
        return model.requires_grad_(False).eval()

    def objective(self, start: Pretrained) -> Objective:
        """What the head is fitted for.

        Raises:
            InputError: there is nothing that a head could say.
        """
        if start.objective is None:
            name = type(self).__module__.rpartition(".")[2]
            raise InputError(
                f"method {name} puts a head for labels or values on the checkpoint, and the task has neither: its "
                "answers are texts. last_layers trains the least of what writes them, as_is nothing"
            )
        return start.objective

    def check_whole(self, material: Material) -> None:
        """
        Raises:
            InputError: it has one answer for a whole example, and the task asks for one a word.
        """
        if material.examples["train"].places is not None:
            name = type(self).__module__.rpartition(".")[2]
            raise InputError(
                f"method {name} has one answer for a whole example, and the task asks for one a word; frozen with "
                "method.pooling token does, and so do majority, surface and methods that train"
            )

    def budget(self, budget: Budget) -> Budget:
        return Budget()  # whatever the recipe says: nothing goes through the loop

    def candidates(self, count: int) -> Sequence[Method]:
        return [self]

    def save(self, module: nn.Module, start: Pretrained, folder: Path) -> Path:
        path = folder / HEAD
        path.parent.mkdir(exist_ok=True)
        # one entry: the file's writer puts several in another order each time, and equal heads are to be equal files
        save_file(module.state_dict(), path, {SAID: json.dumps(self.says(module), sort_keys=True)})
        return path.parent

    def says(self, module: nn.Module) -> dict[str, Any]:
        """What must be known of the head beside its tensors: for JSON."""
        return {}

    def body(self, module: nn.Module) -> None:
        return None

    @abstractmethod
    def restore(self, start: Pretrained, folder: Path) -> nn.Module: ...

    @staticmethod
    def saved(folder: Path) -> dict[str, Tensor]:
        """The head's tensors."""
        return load_file(folder / HEAD)

    @staticmethod
    def told(folder: Path) -> dict[str, Any]:
        """What `says` said of them."""
        with safe_open(folder / HEAD, "pt") as file:
            return json.loads((file.metadata() or {}).get(SAID, "{}"))


def _reached(model: PreTrainedModel, train: Examples) -> dict[nn.Parameter, Tensor]:
    """Of the table of words, the rows that training looks up."""
    if train.reached is None:
        return {}
    table = model.get_input_embeddings().weight
    assert isinstance(table, nn.Parameter)
    return {table: torch.from_numpy(train.reached)}


def _with_trained(exact: PreTrainedModel, module: PreTrainedModel) -> PreTrainedModel:
    """The checkpoint in full precision with the trained tensors put in: frozen ones were only rounded to compute."""
    trained = {name: tensor for name, tensor in module.named_parameters() if tensor.requires_grad}
    for name, parameter in exact.named_parameters():
        if name in trained:
            parameter.data = trained[name].data
    return exact


def freeze(model: nn.Module, but: Iterable[str] = ()) -> None:
    """Stop everything from learning but the modules named."""
    model.requires_grad_(False)
    for name in but:
        model.get_submodule(name).requires_grad_(True)


def wholly_trained(module: nn.Module) -> list[nn.Module]:
    """The outermost modules all of whose parameters are trained."""
    trained = [parameter.requires_grad for parameter in module.parameters()]
    if not any(trained):
        return []
    return [module] if all(trained) else [found for child in module.children() for found in wholly_trained(child)]
