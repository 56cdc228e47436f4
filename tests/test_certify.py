"""The certificate: passed by what is right on every family, and failed, by name, by each mistake one makes."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
import torch.nn.functional as F
from told import Told
from torch import Tensor

from finetune import Classification, Files, Full, InputError, Local, Recipe, axes, cli
from finetune.attention import cores, interface
from finetune.attention.cores import Core, mix, softmax
from finetune.attention.cores.linear import Linear
from finetune.attention.cores.scaled_dot_product import ScaledDotProduct
from finetune.attention.cores.talking_heads import TalkingHeads
from finetune.attention.cores.uniform import Uniform
from finetune.attention.masks import EVERYTHING, Causal, Mask, Padding
from finetune.attention.multihead import Attention
from finetune.attention.positions import Learned
from finetune.attention.positions.t5_bias import T5Bias
from finetune.attention.swap import MultiHead, Transplanted
from finetune.certificate.pair import Check, Pair
from finetune.certify import certify
from finetune.session import session

Attended = tuple[Tensor, Tensor | None]
CORES = axes.every(cores, Core)
FOR_ANY = {
    "swapped",
    "logits, float32",
    "bfloat16",
    "mask",
    "fully masked row",
    "gradients are slopes",
    "dropout",
    "twice the same",
    "attention maps",
    "LoRA targets",
    "gradient checkpointing",
    "saved and loaded",
}
FOR_DECODERS = {"padded = unpadded", "the future is not seen", "cached = whole", "generation"}


def tried(recipe: Recipe, core: Core) -> dict[str, Check]:
    return {check.name: check for check in certify(replace(recipe, attention=MultiHead(core=core)))}


def failed(checks: dict[str, Check]) -> dict[str, str]:
    return {check.name: check.measured for check in checks.values() if not check.passed}


@pytest.mark.parametrize("family", tiny.CONFIGS)
def test_ours_passes_in_every_family(toy: Callable[[str], Recipe], family: str) -> None:
    checks = tried(toy(family), ScaledDotProduct())
    assert failed(checks) == {}
    assert FOR_ANY | {"formula"} <= set(checks)
    assert any(name.startswith("gradients of") for name in checks)


@pytest.mark.parametrize("kind", CORES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("family", ["bert", "qwen3", "dinov2"])
def test_every_core_passes_what_holds_for_any_attention(
    toy: Callable[[str], Recipe], family: str, kind: type[Core]
) -> None:
    checks = tried(toy(family), kind())
    assert failed(checks) == {}
    assert set(checks) >= FOR_ANY | (FOR_DECODERS if family == "qwen3" else set())
    assert ("formula" in checks) == (kind is ScaledDotProduct)
    assert ("what the core learns" in checks) == bool(kind().learned(32, 2, 16))


def test_a_core_that_starts_as_the_checkpoints_own_says_so_and_one_that_does_not_says_how_far_it_is(
    toy: Callable[[str], Recipe],
) -> None:
    for core in (TalkingHeads(), ScaledDotProduct(position=T5Bias())):
        assert "it starts unchanged" in tried(toy("bert"), core)["logits, float32"].measured
    assert "an intervention" in tried(toy("bert"), Uniform())["logits, float32"].measured


# mistakes in a core that claims to be the checkpoint's own


@dataclass(frozen=True, kw_only=True)
class NoScale(ScaledDotProduct):
    def scores(self, q_BHTD: Tensor, k_BKSD: Tensor, scale: float) -> Tensor:
        return super().scores(q_BHTD, k_BKSD, 1.0)


@dataclass(frozen=True, kw_only=True)
class ScaleOfTheWholeWidth(ScaledDotProduct):
    def scores(self, q_BHTD: Tensor, k_BKSD: Tensor, scale: float) -> Tensor:
        return super().scores(q_BHTD, k_BKSD, (q_BHTD.shape[1] * q_BHTD.shape[3]) ** -0.5)


@dataclass(frozen=True, kw_only=True)
class ScaleOfItsOwn(ScaledDotProduct):
    def scores(self, q_BHTD: Tensor, k_BKSD: Tensor, scale: float) -> Tensor:
        return super().scores(q_BHTD, k_BKSD, q_BHTD.shape[3] ** -0.5)


@dataclass(frozen=True, kw_only=True)
class OverQueries(ScaledDotProduct):
    def normalise(self, scores_BHTS: Tensor, allowed: Tensor | None, learned: Learned) -> Tensor:
        return softmax(scores_BHTS.mT, None if allowed is None else allowed.expand_as(scores_BHTS).mT).mT


@dataclass(frozen=True, kw_only=True)
class NoZeros(ScaledDotProduct):
    def normalise(self, scores_BHTS: Tensor, allowed: Tensor | None, learned: Learned) -> Tensor:
        lowest = torch.finfo(scores_BHTS.dtype).min
        return (scores_BHTS if allowed is None else scores_BHTS.masked_fill(~allowed, lowest)).softmax(-1)


@dataclass(frozen=True, kw_only=True)
class NotANumber(ScaledDotProduct):
    def normalise(self, scores_BHTS: Tensor, allowed: Tensor | None, learned: Learned) -> Tensor:
        return super().normalise(scores_BHTS, allowed, learned) * torch.nan


@dataclass(frozen=True, kw_only=True)
class Rough(ScaledDotProduct):
    """Exact in float32, and coarser than it must be in bfloat16."""

    def normalise(self, scores_BHTS: Tensor, allowed: Tensor | None, learned: Learned) -> Tensor:
        rough = scores_BHTS.dtype == torch.bfloat16
        return super().normalise((scores_BHTS * 4).round() / 4 if rough else scores_BHTS, allowed, learned)


@dataclass(frozen=True, kw_only=True)
class Changed(ScaledDotProduct):
    """Another mask, part by part."""

    def restrict(self, mask: Mask, offset: int) -> Mask:
        found = EVERYTHING
        for part in mask.parts():
            found = found & self.instead(part)
        return found

    def instead(self, part: Mask) -> Mask:
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class NoMask(Changed):
    def instead(self, part: Mask) -> Mask:
        return EVERYTHING


@dataclass(frozen=True, kw_only=True)
class NoPadding(Changed):
    def instead(self, part: Mask) -> Mask:
        return EVERYTHING if isinstance(part, Padding) else part


@dataclass(frozen=True, kw_only=True)
class SeesTheFuture(Changed):
    def instead(self, part: Mask) -> Mask:
        return EVERYTHING if isinstance(part, Causal) else part


@dataclass(frozen=True, kw_only=True)
class OneAhead(Changed):
    def instead(self, part: Mask) -> Mask:
        return Causal(part.offset + 1) if isinstance(part, Causal) else part


@dataclass(frozen=True, kw_only=True)
class OneBehind(Changed):
    def instead(self, part: Mask) -> Mask:
        return Causal(part.offset - 1) if isinstance(part, Causal) else part


@dataclass(frozen=True, kw_only=True)
class NoOffset(Changed):
    def instead(self, part: Mask) -> Mask:
        return Causal() if isinstance(part, Causal) else part


@dataclass(frozen=True, kw_only=True)
class Around(ScaledDotProduct):
    """Something done to what goes in or comes out."""

    def attend(
        self,
        q_BHTD: Tensor,
        k_BKSD: Tensor,
        v_BKSD: Tensor,
        mask: Mask,
        scale: float,
        dropout: float,
        learned: Learned,
        need_weights: bool,
    ) -> Attended:
        return self.around(q_BHTD, k_BKSD, v_BKSD, (mask, scale, dropout, learned, need_weights))

    def around(self, q_BHTD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, given: tuple[Any, ...]) -> Attended:
        return super().attend(q_BHTD, k_BKSD, v_BKSD, *given)


@dataclass(frozen=True, kw_only=True)
class Transposed(Around):
    def around(self, q_BHTD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, given: tuple[Any, ...]) -> Attended:
        context, weights = super().around(q_BHTD, k_BKSD, v_BKSD, given)
        return context.transpose(1, 2).reshape(context.shape), weights


@dataclass(frozen=True, kw_only=True)
class InTurns(Around):
    def around(self, q_BHTD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, given: tuple[Any, ...]) -> Attended:
        times = (1, q_BHTD.shape[1] // k_BKSD.shape[1], 1, 1)
        return super().around(q_BHTD, k_BKSD.repeat(times), v_BKSD.repeat(times), given)


@dataclass(frozen=True, kw_only=True)
class Detached(Around):
    def around(self, q_BHTD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, given: tuple[Any, ...]) -> Attended:
        return super().around(q_BHTD.detach(), k_BKSD.detach(), v_BKSD, given)


@dataclass(frozen=True, kw_only=True)
class NoDropout(Around):
    def around(self, q_BHTD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, given: tuple[Any, ...]) -> Attended:
        mask, scale, _, learned, need_weights = given
        return super().around(q_BHTD, k_BKSD, v_BKSD, (mask, scale, 0.0, learned, need_weights))


@dataclass(frozen=True, kw_only=True)
class Dropping(Around):
    """Dropout of its own making."""

    def around(self, q_BHTD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, given: tuple[Any, ...]) -> Attended:
        mask, scale, dropout, *_ = given
        if not dropout:
            return super().around(q_BHTD, k_BKSD, v_BKSD, given)
        assert mask is EVERYTHING
        return mix(self.dropped(self.scores(q_BHTD, k_BKSD, scale), dropout), v_BKSD), None

    def dropped(self, scores_BHTS: Tensor, share: float) -> Tensor:
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class DropsScores(Dropping):
    def dropped(self, scores_BHTS: Tensor, share: float) -> Tensor:
        return F.dropout(scores_BHTS, share).softmax(-1)


@dataclass(frozen=True, kw_only=True)
class DropsWithoutMakingUp(Dropping):
    def dropped(self, scores_BHTS: Tensor, share: float) -> Tensor:
        return F.dropout(scores_BHTS.softmax(-1), share) * (1 - share)


@dataclass(frozen=True, kw_only=True)
class DropsTooMuch(Dropping):
    def dropped(self, scores_BHTS: Tensor, share: float) -> Tensor:
        return F.dropout(scores_BHTS.softmax(-1), 2 * share)


@dataclass(frozen=True, kw_only=True)
class DropsWholeRows(Dropping):
    def dropped(self, scores_BHTS: Tensor, share: float) -> Tensor:
        return F.dropout(torch.ones_like(scores_BHTS[..., :1]), share) * scores_BHTS.softmax(-1)


BROKEN: dict[type[ScaledDotProduct], tuple[str, str]] = {
    NoScale: ("formula", "as if the scores were not scaled"),
    ScaleOfTheWholeWidth: ("formula", "as if the scale were that of all heads together"),
    ScaleOfItsOwn: ("formula", "as if the model's scale were ignored"),
    OverQueries: ("formula", "as if the softmax ran over the queries"),
    Transposed: ("formula", "as if the heads were transposed"),
    InTurns: ("formula", "as if heads shared their keys in turns, not in groups"),
    Detached: ("formula", "as if the weights were constants to the gradient"),
    NoMask: ("formula", "as if the mask were dropped"),
    NoPadding: ("formula", "as if the padding were not masked"),
    SeesTheFuture: ("formula", "as if the future were not masked"),
    OneAhead: ("formula", "as if one position ahead were allowed"),
    OneBehind: ("formula", "as if a query's own key were masked"),
    NoOffset: ("formula", "as if queries stood at the first keys, not behind those of a cache"),
    Rough: ("bfloat16", "off by"),
    NotANumber: ("formula", "like no mistake that is known"),
    NoZeros: ("fully masked row", "context at most"),
    NoDropout: ("dropout", "nothing is dropped"),
    DropsScores: ("dropout", "scores are dropped, not weights"),
    DropsWithoutMakingUp: ("dropout", "what is kept is not made up for, it should be times 1.333"),
    DropsTooMuch: ("dropout", "the share is another"),
    DropsWholeRows: ("dropout", "not each on its own"),
}
# and what of it shows in the model
SHOWS: dict[type[ScaledDotProduct], set[str]] = {
    NoPadding: {"mask"},
    SeesTheFuture: {"the future is not seen", "mask"},
    OneAhead: {"the future is not seen", "mask"},
    OneBehind: {"mask", "logits, float32"},
    NoOffset: {"cached = whole", "mask"},
    Detached: {"gradients are slopes", "LoRA targets"},
}


@pytest.mark.parametrize("core", BROKEN, ids=lambda core: core.__name__)
def test_each_mistake_is_caught_and_named(toy: Callable[[str], Recipe], core: type[ScaledDotProduct]) -> None:
    check, words = BROKEN[core]
    found = failed(tried(toy("qwen3"), core()))
    assert words in found[check]
    assert SHOWS.get(core, set()) <= set(found)


def test_a_gradient_that_does_not_come_back_shows_in_the_model(toy: Callable[[str], Recipe]) -> None:
    found = failed(tried(toy("bert"), Detached()))
    (measured,) = (measured for name, measured in found.items() if name.startswith("gradients of"))
    assert "query" in measured or "key" in measured
    assert "logits, float32" not in found


def test_padding_that_is_not_masked_shows_in_the_model(toy: Callable[[str], Recipe]) -> None:
    assert {"padded = unpadded", "mask", "logits, float32"} <= set(failed(tried(toy("bert"), NoPadding())))


def test_a_look_ahead_is_told_from_a_look_at_padding(toy: Callable[[str], Recipe]) -> None:
    ahead, aside = (failed(tried(toy("llama"), core()))["mask"] for core in (OneAhead, NoPadding))
    assert ", 0 of them look ahead" not in ahead
    assert "look ahead" in ahead
    assert " leak, 0 of them look ahead" in aside


# mistakes of the module around the core


def broken_in(toy: Callable[[str], Recipe], family: str = "llama") -> dict[str, str]:
    return failed(tried(toy(family), ScaledDotProduct()))


class Forgetful:
    """A cache that keeps everything and hands back only what is new."""

    def __init__(self, cache: Any) -> None:
        self.cache, self.get_seq_length = cache, cache.get_seq_length

    def update(self, k_BKSD: Tensor, v_BKSD: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        self.cache.update(k_BKSD, v_BKSD, layer)
        return k_BKSD, v_BKSD


def test_a_cache_that_is_ignored_is_named(toy: Callable[[str], Recipe], monkeypatch: pytest.MonkeyPatch) -> None:
    stock = Transplanted.forward

    def forward(self: Transplanted, *given: Any, past_key_values: Any = None, **more: Any) -> Attended:
        past_key_values = past_key_values and Forgetful(past_key_values)
        return stock(self, *given, past_key_values=past_key_values, **more)

    monkeypatch.setattr(Transplanted, "forward", forward)
    found = broken_in(toy)
    assert "as if the cache were ignored" in found["cached = whole"]
    assert "generation" in found


@pytest.mark.parametrize("step", [-1, 1])
def test_a_cache_that_is_off_by_one_is_named(
    toy: Callable[[str], Recipe], monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    right = interface.given

    def mask(given: Any, causal: bool, offset: int) -> Mask:
        found = right(given, causal, offset)
        return Causal(found.offset + step) if offset and isinstance(found, Causal) else found

    monkeypatch.setattr(interface, "given", mask)
    assert "as if it were off by 1" in broken_in(toy)["cached = whole"]


def test_a_block_that_does_not_attend_is_counted(toy: Callable[[str], Recipe], monkeypatch: pytest.MonkeyPatch) -> None:
    stock = Transplanted.forward

    def forward(self: Transplanted, hidden_states: Tensor, *given: Any, **more: Any) -> Attended:
        return (hidden_states, None) if self.layer else stock(self, hidden_states, *given, **more)

    monkeypatch.setattr(Transplanted, "forward", forward)
    found = broken_in(toy, "bert")
    assert found["swapped"] == "1 of 2 blocks"
    assert found["gradient checkpointing"].endswith("1 of 2 blocks computed twice")


def test_a_module_that_drops_while_it_predicts_is_caught(
    toy: Callable[[str], Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    stock = Attention.attend

    def attend(self: Attention, *given: Any) -> Attended:
        context, weights = stock(self, *given)
        return F.dropout(context, 0.01), weights

    monkeypatch.setattr(Attention, "attend", attend)
    assert "twice the same" in broken_in(toy, "bert")


# mistakes of interventions, which are compared with nothing


@dataclass(frozen=True, kw_only=True)
class Leaky(Uniform):
    def restrict(self, mask: Mask, offset: int) -> Mask:
        return EVERYTHING


@dataclass(frozen=True, kw_only=True)
class Blind(Uniform):
    def normalise(self, scores_BHTS: Tensor, allowed: Tensor | None, learned: Learned) -> Tensor:
        return super().normalise(scores_BHTS, allowed, learned) * 0


@dataclass(frozen=True, kw_only=True)
class DetachedHeads(TalkingHeads):
    def normalise(self, scores_BHTS: Tensor, allowed: Tensor | None, learned: Learned) -> Tensor:
        return super().normalise(scores_BHTS.detach(), allowed, learned)


@dataclass(frozen=True, kw_only=True)
class Untaught(TalkingHeads):
    def normalise(self, scores_BHTS: Tensor, allowed: Tensor | None, learned: Learned) -> Tensor:
        kept = {name: each.detach() for name, each in learned.items()}
        return super().normalise(scores_BHTS, allowed, kept)


@dataclass(frozen=True, kw_only=True)
class Raising(Uniform):
    def attend(self, q_BHTD: Tensor, *given: Any) -> Attended:
        if q_BHTD.dtype == torch.float64:
            raise TypeError("no such\nformat")
        return super().attend(q_BHTD, *given)


@dataclass(frozen=True, kw_only=True)
class AnotherMap(Linear):
    """Shows other weights than it mixes by."""

    def __call__(self, *given: Any, need_weights: bool = False, **more: Any) -> Attended:
        context, weights = super().__call__(*given, need_weights=need_weights, **more)
        return context * (1.1 if need_weights else 1.0), weights


@pytest.mark.parametrize(
    ("core", "check", "words"),
    [
        (Leaky(), "mask", " leak, "),
        (Leaky(), "the future is not seen", "off by"),
        (Leaky(), "padded = unpadded", "off by"),
        (Blind(), "mask", "queries see nothing"),
        (DetachedHeads(), "gradients are slopes", " 0 for a slope of "),
        (Untaught(), "what the core learns", "0 of 4 tensors get a gradient"),
        (Raising(), "slopes", "TypeError: no such format (" + __file__ + ", line 439)"),
        (AnotherMap(), "attention maps", "off by"),
    ],
    ids=lambda given: type(given).__name__ if isinstance(given, Core) else given,
)
def test_an_intervention_may_not_break_what_holds_for_any(
    toy: Callable[[str], Recipe], core: Core, check: str, words: str
) -> None:
    assert words in failed(tried(toy("llama"), core))[check]


def test_what_a_core_learned_and_lost_on_the_way_to_disk_is_caught(
    toy: Callable[[str], Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("finetune.certificate.integration.load_learned", lambda *_: None)
    assert "saved and loaded" in failed(tried(toy("bert"), TalkingHeads()))


# rounding


@dataclass(frozen=True, kw_only=True)
class Chaotic(Around):
    """The last bits of what goes in decide what comes out."""

    def around(self, q_BHTD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, given: tuple[Any, ...]) -> Attended:
        context, weights = super().around(q_BHTD, k_BKSD, v_BKSD, given)
        return (1e4 * context).sin(), weights


def test_what_rounding_does_to_a_model_is_measured(toy: Callable[[str], Recipe]) -> None:
    cores = ScaledDotProduct(), Chaotic()
    plain, chaotic = (Pair(session(toy("llama")), MultiHead(core=core)).rounding for core in cores)
    assert 1e-9 < plain < 1e-6
    assert chaotic > 100 * plain


@pytest.mark.parametrize(
    ("error", "rounding", "passed"),
    [(9e-5, None, True), (2e-4, 1e-6, False), (2e-3, 1e-4, True), (4e-3, 1e-4, False), (0.06, 0.1, False)],
)
def test_rounding_excuses_what_it_makes_and_no_more(
    toy: Callable[[str], Recipe], error: float, rounding: float | None, passed: bool
) -> None:
    pair = Pair(session(toy("bert")), MultiHead())
    vars(pair)["rounding"] = rounding
    check = pair.alike("two ways", error)
    assert check.passed == passed
    assert ("rounding alone makes" in check.measured) == (rounding is not None)


# how it is called


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize("family", ["bert", "llama"])
def test_texts_of_one_length_are_padded_for_it(checkpoint: Callable[[str], Path], tmp_path: Path, family: str) -> None:
    (tmp_path / "rows.csv").write_text("text,label\n" + "cat dog,animal\none two,number\n" * 20)
    recipe = Recipe(
        name="mine",
        checkpoint=Local(str(checkpoint(family))),
        data=Files(train=str(tmp_path / "rows.csv")),
        task=Classification(),
        method=Full(),
    )
    checks = tried(recipe, ScaledDotProduct())
    assert failed(checks) == {}
    assert checks["padded = unpadded"].measured.endswith(", 6 texts")


def test_there_is_nothing_to_certify_of_a_stock_attention(toy: Callable[[str], Recipe]) -> None:
    with pytest.raises(InputError, match="nothing to certify: recipe.attention is the checkpoint's own; try multihead"):
        certify(toy("bert"))


def test_it_tells_how_far_it_is_and_leaves_the_generator_where_it_was(toy: Callable[[str], Recipe]) -> None:
    progress, state = Told(), torch.get_rng_state()
    checks = certify(replace(toy("bert"), attention=MultiHead()), progress=progress)
    assert progress.counted["certify"] == (len(checks), len(checks))
    assert torch.equal(torch.get_rng_state(), state)


OWN = '''"""A core of my own."""

from dataclasses import dataclass

from finetune import Classification, Full, Local, Recipe
from finetune.attention.cores.scaled_dot_product import ScaledDotProduct
from finetune.attention.swap import MultiHead
from finetune.data.toy import ToyText


@dataclass(frozen=True, kw_only=True)
class Mine(ScaledDotProduct):
    def scores(self, q_BHTD, k_BKSD, scale):
        return super().scores(q_BHTD, k_BKSD, 1.0)


recipe = Recipe(
    name="mine",
    checkpoint=Local({checkpoint!r}),
    data=ToyText(),
    task=Classification(),
    method=Full(),
    attention=MultiHead(core=Mine()),
)
'''


@pytest.mark.usefixtures("own_cache")
def test_the_command_names_what_failed_and_ends_with_1_and_with_0_where_nothing_did(
    checkpoint: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.py"
    path.write_text(OWN.format(checkpoint=str(checkpoint("bert"))))
    assert cli.main(["certify", str(path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("FAIL  formula") and "as if the scores were not scaled" in line for line in lines)
    assert re.fullmatch(r"\d+ of \d+ checks passed: \w+ in mine", lines[-1])
    assert cli.main(["certify", str(path), "--attention", "multihead"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("pass  ") for line in lines[:-1])
    assert lines[-1] == f"{len(lines) - 1} of {len(lines) - 1} checks passed: multihead in mine"


def test_what_a_core_cannot_do_for_a_family_is_said_in_one_line_with_exit_code_2(
    checkpoint: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], own_cache: Path
) -> None:
    """Qwen 2 with windows: an arbitrary mask, for which linear attention has no form."""
    assert not own_cache.exists()
    folder = tmp_path / "windowed"
    shutil.copytree(checkpoint("qwen2"), folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 0}
    config["layer_types"] = ["sliding_attention"] * 2
    (folder / "config.json").write_text(json.dumps(config))
    path = tmp_path / "mine.py"
    path.write_text(OWN.format(checkpoint=str(folder)))
    capsys.readouterr()
    assert cli.main(["certify", str(path), "--attention", "linear"]) == 2
    said = capsys.readouterr().err
    assert said == "finetune: linear attention can only do padding and causal masks, not Dense\n"
    assert cli.main(["certify", str(path), "--attention", "multihead"]) == 0
