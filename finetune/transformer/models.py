"""The classes of each of our systems, told to transformers: importing this is enough for its Auto classes to know them.

`finetune.checkpoint` imports it when it meets one of ours; whoever loads what was saved without us does it himself.
"""

from __future__ import annotations

from typing import Any

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForImageClassification,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    PreTrainedModel,
)

from finetune.transformer.networks import Backbone, Classifier, NetworkConfig, SequenceToSequence
from finetune.transformer.systems import System, Vocabulary
from finetune.written import to_json


class OwnEncoderConfig(NetworkConfig):
    model_type = "finetune-encoder"


class OwnEncoderModel(Backbone):
    config_class = OwnEncoderConfig


class OwnEncoderForSequenceClassification(Classifier):
    config_class, body = OwnEncoderConfig, OwnEncoderModel


class OwnViTConfig(NetworkConfig):
    model_type = "finetune-vit"


class OwnViTModel(Backbone):
    config_class, main_input_name = OwnViTConfig, "pixel_values"


class OwnViTForImageClassification(Classifier):
    config_class, body, main_input_name = OwnViTConfig, OwnViTModel, "pixel_values"


class OwnTransformerConfig(NetworkConfig):
    model_type = "finetune-transformer"


class OwnTransformerModel(Backbone):
    config_class = OwnTransformerConfig


class OwnTransformerForSequenceToSequence(SequenceToSequence):
    config_class, body = OwnTransformerConfig, OwnTransformerModel


class OwnRecurrentConfig(NetworkConfig):
    model_type = "finetune-recurrent"


class OwnRecurrentModel(Backbone):
    config_class = OwnRecurrentConfig


class OwnRecurrentForSequenceToSequence(SequenceToSequence):
    config_class, body = OwnRecurrentConfig, OwnRecurrentModel


HEADS: tuple[tuple[Any, type[Classifier | SequenceToSequence]], ...] = (
    (AutoModelForSequenceClassification, OwnEncoderForSequenceClassification),
    (AutoModelForImageClassification, OwnViTForImageClassification),
    (AutoModelForSeq2SeqLM, OwnTransformerForSequenceToSequence),
    (AutoModelForSeq2SeqLM, OwnRecurrentForSequenceToSequence),
)
for auto, whole in HEADS:
    AutoConfig.register(whole.config_class.model_type, whole.config_class)
    AutoModel.register(whole.config_class, whole.body)
    auto.register(whole.config_class, whole)


def model(system: System, vocabulary: Vocabulary | None) -> PreTrainedModel:
    """A model of the system with drawn weights: a classifier's without its head, which is of nobody's labels yet."""
    whole = next(each for _, each in HEADS if each.config_class.model_type == system.kind)
    config = whole.config_class(system=to_json(system), **system.config(vocabulary))
    return (whole if issubclass(whole, SequenceToSequence) else whole.body)(config)
