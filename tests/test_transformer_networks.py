"""Our systems are models of transformers: loaded, saved, tied and built again from their configs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModel, AutoModelForSeq2SeqLM, AutoModelForSequenceClassification

from finetune import InputError, Recurrent, TextEncoder, Transformer, ViT
from finetune.attention.cores.unscaled import Unscaled
from finetune.attention.maps import attention_maps
from finetune.attention.positions.learned import LearnedPositions
from finetune.attention.positions.t5_bias import T5Bias
from finetune.transformer import models, networks
from finetune.transformer.norms.batch import BatchNorm
from finetune.transformer.scores.additive import Additive
from finetune.transformer.systems import System, Vocabulary

V = Vocabulary(size=12, pad=0, start=2, end=3)
SMALL = {"width": 16, "heads": 2, "layers": 2, "inner": 32}
IMAGE = {"image_size": 8, "patch_size": 4, "positions": LearnedPositions(length=5)}
SYSTEMS: list[System] = [
    TextEncoder(**SMALL, norm=BatchNorm(masked=False), pooling="cls"),
    TextEncoder(**SMALL, core=Unscaled(), positions=T5Bias(buckets=8, distance=16)),
    ViT(**SMALL, **IMAGE),
    Transformer(**SMALL, order="post"),
    Transformer(**SMALL, positions=LearnedPositions(length=9), tied=False),
    Recurrent(width=16, cell="rnn"),
    Recurrent(width=16, layers=2, attention=Additive()),
]
IDS_NS = torch.tensor([[2, 4, 5, 6, 3], [2, 7, 3, 0, 0]])
REAL_NS = (IDS_NS != 0).long()


def made(system: System) -> networks.Network:
    torch.manual_seed(0)
    return models.model(system, None if isinstance(system, ViT) else V).eval()  # pyright: ignore


def outputs(model: torch.nn.Module, system: System) -> torch.Tensor:
    with torch.no_grad():
        if isinstance(system, ViT):
            return model(pixel_values=torch.ones(2, 3, 8, 8)).last_hidden_state
        if isinstance(system, TextEncoder):
            return model(input_ids=IDS_NS, attention_mask=REAL_NS).last_hidden_state
        return model(input_ids=IDS_NS, attention_mask=REAL_NS, decoder_input_ids=IDS_NS).logits


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.kind)
def test_what_is_saved_is_loaded_by_transformers_as_it_was(system: System, tmp_path: Path) -> None:
    model = made(system)
    model.save_pretrained(tmp_path)
    auto = AutoModelForSeq2SeqLM if isinstance(system, Transformer | Recurrent) else AutoModel
    again = auto.from_pretrained(tmp_path, trust_remote_code=False).eval()
    assert again.config.built() == system
    assert torch.equal(outputs(again, system), outputs(model, system))
    assert json.loads((tmp_path / "config.json").read_text())["system"]["type"] == type(system).__name__


@pytest.mark.parametrize("system", [Transformer(**SMALL), Recurrent(width=16)], ids=lambda system: system.kind)
def test_tied_tables_are_one_and_stay_one_through_saving_and_loading(system: System, tmp_path: Path) -> None:
    model = made(system)
    model.save_pretrained(tmp_path)
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        stored = [name for name in file.keys() if "tokens" in name or "lm_head" in name]  # noqa: SIM118
    assert stored == ["model.net.source.tokens.weight"]
    for each in (model, AutoModelForSeq2SeqLM.from_pretrained(tmp_path, trust_remote_code=False)):
        tables = [each.model.net.source.tokens.weight, each.model.net.target.tokens.weight, each.lm_head.weight]
        assert len({table.data_ptr() for table in tables}) == 1
        assert len({id(table) for table in tables}) == 1
        assert sum(parameter.shape == (V.size, 16) for parameter in each.parameters()) == 1


def test_tables_that_are_not_tied_are_three() -> None:
    model = made(Transformer(**SMALL, tied=False))
    assert sum(parameter.shape == (V.size, 16) for parameter in model.parameters()) == 3


def test_first_logits_are_small_and_embeddings_of_deviation_one() -> None:
    system = Transformer(width=256, heads=4, layers=2, inner=64)
    torch.manual_seed(0)
    model = models.model(system, Vocabulary(size=500, pad=0, start=2, end=3)).eval()
    table = model.get_input_embeddings().weight.detach() * 16  # pyright: ignore
    assert float(table.std()) == pytest.approx(1.0, abs=0.02)
    assert 0.3 < float(outputs(model, system).std()) < 2


def test_one_label_is_a_number_and_its_loss_is_squared() -> None:
    config = made(SYSTEMS[1]).config
    config.num_labels = 1
    model = models.OwnEncoderForSequenceClassification(config).eval()
    wanted = torch.tensor([0.5, -2.0])
    found = model(input_ids=IDS_NS, attention_mask=REAL_NS, labels=wanted)
    assert found.logits.shape == (2, 1)
    assert torch.allclose(found.loss, (found.logits[:, 0] - wanted).square().mean())


def test_a_regression_learns_a_number() -> None:
    torch.manual_seed(0)
    config = made(TextEncoder(**SMALL, dropout=0.0)).config
    config.num_labels = 1
    model = models.OwnEncoderForSequenceClassification(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    ids = torch.randint(4, 12, (64, 6))
    wanted = (ids == 5).float().sum(1)  # how often a word occurs
    losses = list[float]()
    for _ in range(80):
        loss = model(input_ids=ids, labels=wanted).loss
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < losses[0] / 10


def test_several_labels_are_classes(tmp_path: Path) -> None:
    made(SYSTEMS[0]).save_pretrained(tmp_path)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path, num_labels=3, trust_remote_code=False)
    found = model(input_ids=IDS_NS, attention_mask=REAL_NS, labels=torch.tensor([0, 2]))
    assert found.logits.shape == (2, 3)
    assert torch.allclose(found.loss, torch.nn.functional.cross_entropy(found.logits, torch.tensor([0, 2])))


def test_hidden_states_are_what_goes_in_and_what_each_block_makes_of_it() -> None:
    found = made(SYSTEMS[1])(input_ids=IDS_NS, attention_mask=REAL_NS, output_hidden_states=True)
    assert len(found.hidden_states) == 3
    assert torch.equal(found.hidden_states[-1], found.last_hidden_state)


def test_attention_of_ours_shows_its_weights_without_a_swap() -> None:
    model = made(SYSTEMS[1])
    with attention_maps(model) as maps:
        model(input_ids=IDS_NS, attention_mask=REAL_NS)
    assert [weights.shape for weights in maps] == [(2, 2, 5, 5)] * 2


def test_a_system_that_nobody_knows_is_refused() -> None:
    config = models.OwnEncoderConfig(system={"type": "Oracle"})
    with pytest.raises(InputError, match="unknown kind of system 'Oracle'; .*known: Recurrent, TextEncoder"):
        models.OwnEncoderModel(config)


def test_a_decoder_must_be_told_what_was_said() -> None:
    with pytest.raises(InputError, match="this model needs decoder_input_ids"):
        made(SYSTEMS[3])(input_ids=IDS_NS)


@pytest.mark.parametrize("module", ["finetune.recipe", "finetune.blank", "finetune.transformer.systems.transformer"])
def test_who_only_names_a_system_does_not_wait_for_transformers(module: str) -> None:
    code = f"import sys, {module}; sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
