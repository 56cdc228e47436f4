"""What is said is the likeliest, by whatever way it is found: with a cache or without, by one beam or by trying all."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from finetune import InputError, Recurrent, Transformer
from finetune.attention.positions.alibi import Alibi
from finetune.attention.positions.learned import LearnedPositions
from finetune.attention.positions.rotary import Rotary
from finetune.attention.positions.t5_bias import T5Bias
from finetune.transformer.decode import beam, greedy
from finetune.transformer.norms.batch import BatchNorm
from finetune.transformer.scores.additive import Additive
from finetune.transformer.scores.dot import Dot
from finetune.transformer.systems import System, Vocabulary

V = Vocabulary(size=6, pad=0, start=2, end=3)
SMALL = {"width": 16, "heads": 2, "layers": 2, "inner": 32}
SYSTEMS: list[System] = [
    *(Transformer(**SMALL, positions=each) for each in (None, Alibi(), Rotary(), T5Bias(), LearnedPositions())),
    Transformer(**SMALL, order="post", tied=False),
    Transformer(**SMALL, norm=BatchNorm()),
    Recurrent(width=16),
    Recurrent(width=16, cell="rnn", layers=2, attention=Dot()),
    Recurrent(width=16, layers=2, attention=Additive()),
]
NAMES = [f"{system.kind.partition('-')[2]}-{number}" for number, system in enumerate(SYSTEMS)]
IDS_NS = torch.tensor([[2, 4, 5, 5, 3], [2, 5, 3, 0, 0], [2, 3, 0, 0, 0]])
REAL_NS = (IDS_NS != 0).long()


def model(system: System, spread: float = 3.0) -> torch.nn.Module:
    """With logits far enough apart that there is something to choose between."""
    from finetune.transformer import models

    torch.manual_seed(4)
    made = models.model(system, V).eval()
    for parameter in made.lm_head.parameters():  # pyright: ignore
        parameter.data = parameter.data * spread
    return made


def said(made: torch.nn.Module, **options: int | bool | float) -> Tensor:
    return made.generate(IDS_NS, REAL_NS, **{"max_new_tokens": 7, **options})  # pyright: ignore


def logits(made: torch.nn.Module, text: int, ids: tuple[int, ...]) -> Tensor:
    """(T, V) of what follows the start and each of these."""
    asked = torch.tensor([[V.start, *ids]])
    with torch.no_grad():
        return made(IDS_NS[text : text + 1], REAL_NS[text : text + 1], decoder_input_ids=asked).logits[0]


def everything(longest: int) -> Iterator[tuple[int, ...]]:
    """All that can be said: what ends, and what is as long as may be."""
    others = [token for token in range(V.size) if token != V.end]
    for length in range(longest):
        yield from ((*each, V.end) for each in itertools.product(others, repeat=length))
    yield from itertools.product(others, repeat=longest)


@pytest.mark.parametrize("system", SYSTEMS, ids=NAMES)
@pytest.mark.parametrize("beams", [1, 3])
def test_with_a_cache_and_without_the_same_is_said(system: System, beams: int) -> None:
    made = model(system)
    assert torch.equal(said(made, num_beams=beams), said(made, num_beams=beams, use_cache=False))


@pytest.mark.parametrize("system", SYSTEMS, ids=NAMES)
def test_greedy_says_what_teacher_forcing_finds_the_likeliest(system: System) -> None:
    made = model(system)
    for text, row in enumerate(said(made).tolist()):
        ids = tuple(row[: row.index(V.end)] if V.end in row else row)
        likeliest = logits(made, text, ids).argmax(-1).tolist()
        assert likeliest[: len(ids)] == list(ids)
        assert V.end not in row or likeliest[len(ids)] == V.end


@pytest.mark.parametrize("system", SYSTEMS, ids=NAMES)
def test_one_beam_is_greedy(system: System) -> None:
    made = model(system)
    longest, start_N = 7, torch.full((len(IDS_NS),), V.start)
    found = [
        how(made.model.net.start(IDS_NS, REAL_NS), made.lm_head, start_N, V, longest, *more)  # pyright: ignore
        for how, more in ((greedy, ()), (beam, (1,)))
    ]
    assert torch.equal(*found)


@pytest.mark.parametrize("penalty", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("system", [SYSTEMS[0], SYSTEMS[-1]], ids=["transformer", "recurrent"])
def test_beams_enough_for_everything_find_the_best_of_everything(system: System, penalty: float) -> None:
    made, longest = model(system, spread=1.0), 4
    found = said(made, num_beams=V.size**longest, max_new_tokens=longest, length_penalty=penalty)
    ways = list(everything(longest))
    assert len(ways) == 1 + 5 + 25 + 125 + 625
    for text in range(len(IDS_NS)):
        scores = [score(made, text, way, penalty) for way in ways]
        best = ways[max(range(len(ways)), key=scores.__getitem__)]
        assert tuple(found[text].tolist()[: len(best)]) == best
        assert not found[text, len(best) :].any()


def score(made: torch.nn.Module, text: int, way: tuple[int, ...], penalty: float) -> float:
    logs_TV = KNOWN.setdefault((id(made), text, way[:-1]), logits(made, text, way[:-1]).log_softmax(-1))
    return float(logs_TV[torch.arange(len(way)), torch.tensor(way)].sum()) / len(way) ** penalty


KNOWN: dict[tuple[int, int, tuple[int, ...]], Tensor] = {}


@pytest.mark.parametrize("beams", [2, 4])
def test_more_beams_find_something_at_least_as_likely_on_average(beams: int) -> None:
    made = model(SYSTEMS[0])
    one, more = (said(made, num_beams=each) for each in (1, beams))

    def means(found: Tensor) -> list[float]:
        rows = [tuple(row[: row.index(V.end) + 1] if V.end in row else row) for row in found.tolist()]
        return [score(made, text, way, 1.0) for text, way in enumerate(rows)]

    assert sum(means(more)) >= sum(means(one)) - 1e-6


@dataclass
class Script:
    """Says what is written for each text, and counts the rows that it was asked for."""

    lines: list[list[int]]
    asked: list[int]
    at: int = 0

    def __post_init__(self) -> None:
        self.rows = list(range(len(self.lines)))

    def step(self, ids_B: Tensor) -> Tensor:
        self.asked.append(len(ids_B))
        found = torch.nn.functional.one_hot(torch.tensor([self.lines[row][self.at] for row in self.rows]), V.size)
        self.at += 1
        return 50.0 * found

    def pick(self, rows_B: Tensor, examples_N: Tensor) -> None:
        self.rows = [self.rows[row] for row in rows_B.tolist()]


def test_what_has_ended_is_not_computed_any_more_and_when_all_have_it_stops() -> None:
    script = Script([[4, 3, 9, 9], [3, 9, 9, 9], [5, 4, 3, 9]], [])
    found = greedy(script, lambda hidden: hidden, torch.full((3,), V.start), V, 20)
    assert found.tolist() == [[4, 3, 0], [3, 0, 0], [5, 4, 3]]
    assert script.asked == [3, 2, 1]


def test_a_beam_search_stops_when_nothing_can_become_better() -> None:
    script = Script([[4, 3, 9, 9, 9, 9], [3, 9, 9, 9, 9, 9]], [])
    found = beam(script, lambda hidden: hidden, torch.full((2,), V.start), V, 20, 2)
    assert found.tolist() == [[4, 3], [3, 0]]
    assert script.asked[0] == 2  # texts
    assert script.asked[1:] in ([1], [2])  # beams of the one that has not ended, and no step after it has


def test_what_was_said_can_be_trained_on() -> None:
    made = model(SYSTEMS[0])
    found = said(made)
    made(IDS_NS, REAL_NS, decoder_input_ids=found).logits.sum().backward()


@pytest.mark.parametrize(("name", "words"), [("max_new_tokens", "max_new_tokens"), ("num_beams", "num_beams")])
def test_nothing_can_be_said_with_none_of_it(name: str, words: str) -> None:
    with pytest.raises(InputError, match=f"{words} must be at least 1, got 0"):
        said(model(SYSTEMS[-1]), **{name: 0})


def test_more_than_there_are_learned_positions_for_cannot_be_said() -> None:
    made = model(Transformer(**SMALL, positions=LearnedPositions(length=6)), spread=0.0)
    with pytest.raises(InputError, match="positions.length is 6, too few for a text of 7 tokens"):
        said(made, max_new_tokens=9)
