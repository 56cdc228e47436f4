"""Systems are what their papers say: what reaches what, what an empty source is, and what is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from finetune import InputError, Recurrent, TextEncoder, Transformer, ViT, axes
from finetune.attention.cores.scaled_dot_product import ScaledDotProduct
from finetune.attention.cores.sliding_window import SlidingWindow
from finetune.attention.cores.unscaled import Unscaled
from finetune.attention.positions import Position
from finetune.attention.positions.alibi import Alibi
from finetune.attention.positions.learned import LearnedPositions
from finetune.attention.positions.rotary import Rotary
from finetune.attention.positions.sinusoidal import Sinusoidal
from finetune.attention.positions.t5_bias import T5Bias
from finetune.transformer import systems
from finetune.transformer.scores.additive import Additive
from finetune.transformer.scores.dot import Dot
from finetune.transformer.systems import System, Vocabulary
from finetune.transformer.systems.vit import cut

V = Vocabulary(size=12, pad=0, start=2, end=3)
SMALL = {"width": 16, "heads": 2, "layers": 2, "inner": 32}
IDS_NS = torch.tensor([[2, 4, 5, 6, 3], [2, 7, 3, 0, 0]])
REAL_NS = (IDS_NS != 0).long()
TARGET_NT = torch.tensor([[2, 8, 9, 10], [2, 11, 0, 0]])
POSITIONS = [None, Sinusoidal(), LearnedPositions(length=8), Alibi(), Rotary(), T5Bias()]
TRANSLATORS: list[Transformer | Recurrent] = [
    Transformer(**SMALL),
    Recurrent(width=16),
    Recurrent(width=16, cell="rnn"),
    Recurrent(width=16, attention=Additive()),
    Recurrent(width=16, cell="rnn", layers=2, attention=Dot()),
]


def built(system: System) -> Any:
    torch.manual_seed(0)
    net = system.build(V).eval()
    for module in net.modules():
        if hasattr(module, "draw"):
            module.draw()
    return net


def name(system: System) -> str:
    parts = [system.kind, *(str(getattr(system, each, "")) for each in ("cell", "attention", "positions"))]
    return re.sub(r"\W+", " ", " ".join(parts)).strip()


def test_every_system_is_found_by_its_file_and_called_after_it() -> None:
    assert axes.names(systems) == ["encoder", "recurrent", "transformer", "vit"]
    for file in axes.names(systems):
        assert axes.find(systems, file, System).kind == f"finetune-{file}"


@pytest.mark.parametrize("system", TRANSLATORS, ids=name)
def test_a_decoder_sees_the_source_and_what_was_said_but_nothing_ahead(system: System) -> None:
    net = built(system)
    before = net(IDS_NS, REAL_NS, TARGET_NT)
    ahead, source = TARGET_NT.clone(), IDS_NS.clone()
    ahead[0, 2], source[0, 1] = 4, 9
    changed = (net(IDS_NS, REAL_NS, ahead) - before).abs().amax(-1)[0]
    assert (changed[:2] == 0).all()
    assert (changed[2:] > 1e-4).all()
    assert ((net(source, REAL_NS, TARGET_NT) - before).abs().amax(-1)[0] > 1e-5).all()


@pytest.mark.parametrize("system", TRANSLATORS, ids=name)
def test_padding_of_the_source_changes_nothing(system: System) -> None:
    net = built(system)
    wider, filled = nn.functional.pad(IDS_NS, (0, 3)), nn.functional.pad(IDS_NS, (0, 3), value=5)
    real = nn.functional.pad(REAL_NS, (0, 3))
    before = net(IDS_NS, REAL_NS, TARGET_NT)
    for ids in (wider, filled):
        assert torch.allclose(net(ids, real, TARGET_NT), before, atol=1e-5)


@pytest.mark.parametrize("system", TRANSLATORS, ids=name)
def test_an_empty_source_is_read_as_nothing_and_leaves_the_others_alone(system: System) -> None:
    net = built(system)
    real = REAL_NS.clone()
    real[1] = 0
    found, before = net(IDS_NS, real, TARGET_NT), net(IDS_NS, REAL_NS, TARGET_NT)
    assert found.isfinite().all()
    assert torch.allclose(found[0], before[0], atol=1e-5)
    net.train()
    net(IDS_NS, real, TARGET_NT).square().sum().backward()
    assert all(each.grad is None or each.grad.isfinite().all() for each in net.parameters())


@pytest.mark.parametrize("kind", [Transformer, TextEncoder])
def test_a_source_longer_than_the_learned_positions_is_refused_with_both_numbers(kind: type[Any]) -> None:
    net = built(kind(**SMALL, positions=LearnedPositions(length=4)))
    words = r"checkpoint\.system\.positions\.length is 4, too few for a text of 5 tokens"
    with pytest.raises(InputError, match=words):
        net(IDS_NS, REAL_NS, *([TARGET_NT] if kind is Transformer else []))


@pytest.mark.parametrize("positions", POSITIONS, ids=str)
def test_only_without_positions_is_a_text_a_set(positions: Position | None) -> None:
    net = built(TextEncoder(**SMALL, positions=positions))
    for table in (value for module in net.modules() for value in getattr(module, "learned", {}).values()):
        nn.init.normal_(table)
    ids, turned = torch.tensor([[4, 5, 6, 7]]), torch.tensor([[5, 6, 4, 7]])  # read backwards, distances are the same
    pooled = [net.pool(net(each, None)[-1], None) for each in (ids, turned)]
    assert ((pooled[0] - pooled[1]).abs().max() < 1e-5) == (positions is None)


@pytest.mark.parametrize("positions", POSITIONS, ids=str)
def test_positions_are_told_in_one_place(positions: Position | None) -> None:
    net = built(Transformer(**SMALL, positions=positions))
    beside = net.source.place.position is not None
    within = net.encoder.blocks[0].attention.core.position is not None
    assert [beside, within].count(True) == (positions is not None)
    assert net.decoder.blocks[0].cross.core.position is None


def test_a_recurrent_decoder_without_attention_hears_of_the_source_through_one_vector() -> None:
    """The gradient of what is said reaches the last of the source's states alone; with attention, all of them."""
    for attention, reached in (
        (None, [False, False, False, False, True]),
        (Dot(), [True] * 5),
        (Additive(), [True] * 5),
    ):
        net = built(Recurrent(width=16, attention=attention))
        saying = net.start(IDS_NS[:1], REAL_NS[:1])
        states = saying.states_NSE.detach().requires_grad_()
        again = type(saying)(net, states, saying.real_NS, states[:, -1], saying.state)
        (grad,) = torch.autograd.grad(again.read(TARGET_NT[:1]).square().sum(), states)
        assert (grad[0].abs().amax(-1) > 0).tolist() == reached


@pytest.mark.parametrize("score", [Dot(), Additive()], ids=["dot", "additive"])
def test_what_a_recurrent_decoder_attends_to_can_be_watched(score: Any) -> None:
    net, seen = built(Recurrent(width=16, attention=score)), list[Tensor]()
    net.attention.watcher = seen.append
    net(IDS_NS, REAL_NS, TARGET_NT)
    (weights,) = seen
    assert weights.shape == (2, 1, 4, 5)
    assert torch.allclose(weights.sum(-1), torch.ones(2, 1, 4))
    assert not weights[1, :, :, 3:].any()


def test_scores_are_their_papers() -> None:
    torch.manual_seed(0)
    q, k = torch.randn(2, 3, 8), torch.randn(2, 5, 8)
    assert torch.allclose(Dot().build(8)(q, k)[1, 2, 4], q[1, 2] @ k[1, 4])
    additive: Any = Additive().build(8)
    own = additive.together.weight @ torch.tanh(additive.query.weight @ q[1, 2] + additive.key.weight @ k[1, 4])
    assert torch.allclose(additive(q, k)[1, 2, 4], own, atol=1e-6)


def test_a_first_token_or_the_mean_of_the_real_ones_stands_for_a_text() -> None:
    hidden = torch.randn(2, 5, 16)
    first, mean = (built(TextEncoder(**SMALL, pooling=each)) for each in ("cls", "mean"))
    assert torch.equal(first.pool(hidden, REAL_NS), hidden[:, 0])
    assert torch.allclose(mean.pool(hidden, REAL_NS)[1], hidden[1, :3].mean(0), atol=1e-6)
    assert torch.equal(mean.pool(hidden, torch.zeros(2, 5)), torch.zeros(2, 16))


def test_the_patches_of_an_image_are_its_squares_row_by_row() -> None:
    pixels = torch.arange(2 * 3 * 8 * 12).view(2, 3, 8, 12)
    found = cut(pixels, 4)
    assert found.shape == (2, 6, 48)
    assert torch.equal(found[1, 4], pixels[1, :, 4:8, 4:8].flatten())


def test_a_vit_knows_where_its_patches_are() -> None:
    net = built(ViT(**SMALL, image_size=8, patch_size=4, positions=LearnedPositions(length=5)))
    image = torch.randn(1, 3, 8, 8)
    turned = image.flip(-1).unflatten(-1, (2, 4)).flip(-1).flatten(-2)  # left and right patches change places
    one, other = (net(each)[-1] for each in (image, turned))
    assert one.shape == (1, 5, 16)
    assert torch.equal(cut(image, 4)[0, 0], cut(turned, 4)[0, 1])
    assert (net.pool(one, None) - net.pool(other, None)).abs().max() > 1e-4


@pytest.mark.parametrize(
    ("kind", "fields", "words"),
    [
        (Transformer, {"heads": 3}, "checkpoint.system.heads must divide checkpoint.system.width, 128, got 3"),
        (Transformer, {"layers": 0}, "checkpoint.system.layers must be at least 1, got 0"),
        (TextEncoder, {"dropout": 1.0}, "checkpoint.system.dropout must be in [0, 1), got 1.0"),
        (TextEncoder, {"order": "middle"}, "unknown value of checkpoint.system.order 'middle'"),
        (
            TextEncoder,
            {"core": ScaledDotProduct(position=Rotary())},
            "checkpoint.system.core.position must be none, got",
        ),
        (Transformer, {"core": SlidingWindow()}, "checkpoint.system.core SlidingWindow looks at neighbours only"),
        (Recurrent, {"width": 0}, "checkpoint.system.width must be at least 1, got 0"),
        (Recurrent, {"dropout": -0.1}, "checkpoint.system.dropout must be in [0, 1), got -0.1"),
        (Recurrent, {"cell": "gru"}, "unknown value of checkpoint.system.cell 'gru'"),
        (ViT, {"patch_size": 5}, "checkpoint.system.patch_size must divide checkpoint.system.image_size, 28, got 5"),
        (ViT, {"patch_size": 2}, "checkpoint.system.positions.length must be at least 197, one for each patch of 2"),
    ],
)
def test_what_cannot_be_built_is_refused_in_one_line(kind: type[Any], fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(words)}"):
        kind(**fields)


def test_a_core_of_ones_choice_is_in_every_attention() -> None:
    net = built(Transformer(**SMALL, core=Unscaled()))
    cores = {type(module.core) for module in net.modules() if hasattr(module, "core")}
    assert cores == {Unscaled}
