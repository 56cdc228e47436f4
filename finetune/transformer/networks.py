"""Our systems as models of transformers: so they are loaded, saved, adapted and trained as any checkpoint is.

A config holds the system itself. Of each class here `models` has one for every system.

N examples, T tokens, E width, C classes, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, Seq2SeqLMOutput, SequenceClassifierOutput

from finetune.attention import cores, positions
from finetune.attention.cores import Core
from finetune.attention.positions import Position
from finetune.errors import InputError
from finetune.transformer import norms, scores, systems
from finetune.transformer.decode import beam, greedy
from finetune.transformer.norms import Norm
from finetune.transformer.scores import Score
from finetune.transformer.systems import System, Vocabulary
from finetune.written import alternatives, from_json

AXES = {Core: cores, Norm: norms, Position: positions, Score: scores, System: systems}


class NetworkConfig(PreTrainedConfig):
    """What `System.config` says, and the system."""

    system: dict | None = None
    vocab_size: int | None = None
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: int | None = None
    decoder_start_token_id: int | None = None
    hidden_size: int | None = None
    num_hidden_layers: int | None = None
    num_attention_heads: int | None = None
    max_position_embeddings: int | None = None
    image_size: int | None = None
    patch_size: int | None = None
    num_channels: int | None = None
    tie_word_embeddings: bool = False

    def built(self) -> System:
        """
        Raises:
            InputError: no system that is known here.
        """
        return from_json(System, self.system or {}, lambda contract: alternatives(AXES.get(contract), contract))

    @property
    def vocabulary(self) -> Vocabulary | None:
        if self.vocab_size is None:
            return None
        known = self.pad_token_id, self.bos_token_id, self.eos_token_id
        pad, start, end = (0 if each is None else each for each in known)
        return Vocabulary(size=self.vocab_size, pad=pad, start=start, end=end)


class Network(PreTrainedModel):
    """What all of them share: how weights are drawn."""

    config_class: type[NetworkConfig] = NetworkConfig  # pyright: ignore[reportIncompatibleVariableOverride]
    base_model_prefix = "model"
    main_input_name = "input_ids"
    _supports_sdpa = True

    def _init_weights(self, module: nn.Module) -> None:
        """torch's functions, which transformers keeps from what was loaded."""
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=module.embedding_dim**-0.5)
        elif isinstance(module, nn.RNNBase | nn.LayerNorm):
            module.reset_parameters()
        elif hasattr(module, "draw"):  # a module of ours with parameters of its own
            module.draw()  # pyright: ignore[reportCallIssue]


class Backbone(Network):
    """A system's network without its head."""

    _tied_weights_keys = {"net.target.tokens.weight": "net.source.tokens.weight"}  # noqa: RUF012

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config)
        self.net = config.built().build(config.vocabulary)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        pixel_values: Tensor | None = None,
        output_hidden_states: bool = False,
        **_: Any,
    ) -> BaseModelOutput:
        """What a classifier's blocks make of texts or images, the last after its norm."""
        hidden = self.net(pixel_values) if input_ids is None else self.net(input_ids, attention_mask)
        return BaseModelOutput(
            last_hidden_state=hidden[-1],
            hidden_states=hidden if output_hidden_states else None,  # pyright: ignore[reportArgumentType]
        )

    def get_input_embeddings(self) -> nn.Module:
        return self.get_submodule("net.source.tokens")

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.set_submodule("net.source.tokens", value)


class Classifier(Network):
    """One vector for each example through a linear layer. Of one label it makes a number, and its loss is squared."""

    body: type[Backbone]

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config)
        self.model = self.body(config)
        self.classifier = nn.Linear(self.model.config.hidden_size, config.num_labels or 1)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        pixel_values: Tensor | None = None,
        labels: Tensor | None = None,
        **_: Any,
    ) -> SequenceClassifierOutput:
        hidden_NTE = self.model(input_ids, attention_mask, pixel_values).last_hidden_state
        logits_NC = self.classifier(self.model.net.pool(hidden_NTE, attention_mask))  # pyright: ignore
        loss = None if labels is None else _loss(logits_NC.float(), labels)
        return SequenceClassifierOutput(loss=loss, logits=logits_NC)  # pyright: ignore[reportArgumentType]

    def get_input_embeddings(self) -> nn.Module:
        return self.model.get_input_embeddings()


def _loss(logits_NC: Tensor, labels_N: Tensor) -> Tensor:
    if logits_NC.shape[1] == 1:
        return F.mse_loss(logits_NC[:, 0], labels_N.float())
    return F.cross_entropy(logits_NC, labels_N)


class SequenceToSequence(Network):
    """A text in, a text out: logits under teacher forcing, and `generate`."""

    body: type[Backbone]
    _tied_weights_keys = {"lm_head.weight": "model.net.source.tokens.weight"}  # noqa: RUF012

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config)
        self.model = self.body(config)
        assert config.hidden_size is not None
        assert config.vocab_size is not None
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        **_: Any,
    ) -> Seq2SeqLMOutput:
        """Logits (N, T, V) of what follows each token of `decoder_input_ids`."""
        if decoder_input_ids is None:
            raise InputError(
                "this model needs decoder_input_ids: the target, its start token in front, without its end"
            )
        hidden_NTE = self.model.net(input_ids, attention_mask, decoder_input_ids, decoder_attention_mask)
        return Seq2SeqLMOutput(logits=self.lm_head(hidden_NTE))

    def generate(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        max_new_tokens: int = 64,
        num_beams: int = 1,
        length_penalty: float = 1.0,
        use_cache: bool = True,
        **_: Any,
    ) -> Tensor:
        """Token ids (N, ≤ max_new_tokens) that end with the end token, and padding; the start token is not repeated.

        Raises:
            InputError: fewer than one token or beam.
        """
        for name, value in (("max_new_tokens", max_new_tokens), ("num_beams", num_beams)):
            if value < 1:
                raise InputError(f"{name} must be at least 1, got {value}")
        vocabulary = self.config.vocabulary
        with torch.inference_mode():
            start_N = torch.full_like(input_ids[:, 0], self.config.decoder_start_token_id)
            saying = self.model.net.start(input_ids, attention_mask, cached=use_cache)  # pyright: ignore
            if num_beams == 1:
                said = greedy(saying, self.lm_head, start_N, vocabulary, max_new_tokens)
            else:
                said = beam(saying, self.lm_head, start_N, vocabulary, max_new_tokens, num_beams, length_penalty)
        return said.clone()  # one that may be trained on

    def get_input_embeddings(self) -> nn.Module:
        return self.model.get_input_embeddings()
