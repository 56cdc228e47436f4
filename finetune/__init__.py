"""Frozen backbone, LoRA or full fine-tuning? Measured on your checkpoint, data, labels and hardware.

Names are imported when first used: `import finetune` alone loads neither torch nor transformers.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from finetune.attention.maps import attention_maps as attention_maps
    from finetune.attention.multihead import MultiHeadAttention as MultiHeadAttention
    from finetune.attention.swap import MultiHead as MultiHead
    from finetune.attention.swap import swap as swap
    from finetune.benchmark import Benchmark as Benchmark
    from finetune.benchmark import BenchmarkTable as BenchmarkTable
    from finetune.benchmark import Published as Published
    from finetune.benchmark import Runs as Runs
    from finetune.blank import Blank as Blank
    from finetune.checkpoint import Hub as Hub
    from finetune.checkpoint import Local as Local
    from finetune.checkpoint import Packaged as Packaged
    from finetune.data.files import Files as Files
    from finetune.data.hub_dataset import HubDataset as HubDataset
    from finetune.errors import InputError as InputError
    from finetune.execute import run as run
    from finetune.grid import Comparison as Comparison
    from finetune.grid import compare as compare
    from finetune.grid import seeds as seeds
    from finetune.methods.frozen import Frozen as Frozen
    from finetune.methods.full import Full as Full
    from finetune.methods.last_layers import LastLayers as LastLayers
    from finetune.methods.lora import LoRA as LoRA
    from finetune.methods.scratch import Scratch as Scratch
    from finetune.optim import AdamW as AdamW
    from finetune.optim import Budget as Budget
    from finetune.predict import Prediction as Prediction
    from finetune.predict import Predictor as Predictor
    from finetune.predict import Tagged as Tagged
    from finetune.predict import Value as Value
    from finetune.predict import Written as Written
    from finetune.predict import load as load
    from finetune.recipe import Recipe as Recipe
    from finetune.result import Result as Result
    from finetune.splits import Split as Split
    from finetune.tasks.classification import Classification as Classification
    from finetune.tasks.regression import Regression as Regression
    from finetune.tasks.summarisation import Summarisation as Summarisation
    from finetune.tasks.token_classification import TokenClassification as TokenClassification
    from finetune.tasks.translation import Translation as Translation
    from finetune.transformer.systems.encoder import TextEncoder as TextEncoder
    from finetune.transformer.systems.recurrent import Recurrent as Recurrent
    from finetune.transformer.systems.transformer import Transformer as Transformer
    from finetune.transformer.systems.vit import ViT as ViT

# this process and who started it, noted before anything slow is imported: that may be gone by then (`finetune.launch`)
STARTED_BY = os.getpid(), os.getppid()

_HOMES = {
    "AdamW": "optim",
    "Benchmark": "benchmark",
    "BenchmarkTable": "benchmark",
    "Blank": "blank",
    "Budget": "optim",
    "Classification": "tasks.classification",
    "Comparison": "grid",
    "Files": "data.files",
    "Frozen": "methods.frozen",
    "Full": "methods.full",
    "Hub": "checkpoint",
    "HubDataset": "data.hub_dataset",
    "InputError": "errors",
    "LastLayers": "methods.last_layers",
    "LoRA": "methods.lora",
    "Local": "checkpoint",
    "MultiHead": "attention.swap",
    "MultiHeadAttention": "attention.multihead",
    "Packaged": "checkpoint",
    "Prediction": "predict",
    "Predictor": "predict",
    "Published": "benchmark",
    "Recipe": "recipe",
    "Recurrent": "transformer.systems.recurrent",
    "Regression": "tasks.regression",
    "Result": "result",
    "Runs": "benchmark",
    "Scratch": "methods.scratch",
    "Split": "splits",
    "Summarisation": "tasks.summarisation",
    "Tagged": "predict",
    "TextEncoder": "transformer.systems.encoder",
    "TokenClassification": "tasks.token_classification",
    "Transformer": "transformer.systems.transformer",
    "Translation": "tasks.translation",
    "Value": "predict",
    "ViT": "transformer.systems.vit",
    "Written": "predict",
    "attention_maps": "attention.maps",
    "compare": "grid",
    "load": "predict",
    "run": "execute",
    "seeds": "grid",
    "swap": "attention.swap",
}

__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'finetune' has no attribute {name!r}")
    return getattr(importlib.import_module(f"finetune.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
