"""Our Transformer's training step beside `torch.nn.Transformer`'s, and what the cache saves a search with beams.

    make bench            or    python tests/benchmarks/transformer_speed.py --rounds 11

Both train by turns in one process that keeps freed memory (finetune/allocator.py), as a run of ours does, between the
same embeddings and the same logits. A figure is the median of the rounds. Writes outputs/tables/transformer_speed.json
and .md; stopped, it goes on from there. Below the table: how far the two are apart, given the same weights.

N texts, S source tokens, T target tokens, E width, V vocabulary.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from ledger import Ledger, Record, ms, ratio
from tabulate import tabulate
from torch import Tensor, nn
from tqdm import tqdm

from finetune import allocator, dropout
from finetune.transformer import models
from finetune.transformer.embedding import Embedding
from finetune.transformer.systems import Vocabulary
from finetune.transformer.systems.transformer import Transformer

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS))  # what gives both the same weights lies there

V = Vocabulary(size=1000, pad=0, start=2, end=3)
ENDLESS = Vocabulary(size=1000, pad=0, start=2, end=-1)
SIZES = {"small": (128, 4, 3, 512), "medium": (256, 4, 3, 1024)}  # width, heads, blocks in each half, inner width
LENGTHS = {"small": (64, 16), "medium": (64, 32)}  # texts, tokens of source and target
STEP, CACHE = round(1 / 1.1, 3), 5.0  # goals: at most 1.1 times as long as torch; at least 5 times as fast as without
BEAMS, SAID = 4, 64


@dataclass(frozen=True)
class Point:
    size: str
    order: Literal["pre", "post"]
    dropout: float
    dtype: str

    @property
    def name(self) -> str:
        about = shape(self.system, *LENGTHS[self.size])
        return f"training step, {about}, {self.order}-norm, dropout {self.dropout:g}, {self.dtype}"

    @property
    def system(self) -> Transformer:
        return system(self.size, order=self.order, dropout=self.dropout)


def system(size: str, **fields: str | float) -> Transformer:
    width, heads, layers, inner = SIZES[size]
    return Transformer(width=width, heads=heads, layers=layers, inner=inner, **fields)  # pyright: ignore


def shape(own: Transformer, texts: int, length: int) -> str:
    return f"{texts}×{length}, width {own.width}, {own.heads} heads, {own.layers}+{own.layers} blocks"


class Peer(nn.Module):
    """torch's stack between our embeddings and the same logits."""

    def __init__(self, own: Transformer) -> None:
        super().__init__()
        self.source = Embedding(V.size, own.width, own.positions, own.dropout)
        self.target = Embedding(V.size, own.width, own.positions, own.dropout)
        self.target.tokens = self.source.tokens
        # as ours is drawn: from logits that are too large come gradients that are too small to be fast
        nn.init.normal_(self.source.tokens.weight, std=own.width**-0.5)
        options = {"dim_feedforward": own.inner, "dropout": own.dropout, "batch_first": True}
        pre = own.order == "pre"
        self.stack = nn.Transformer(own.width, own.heads, own.layers, own.layers, norm_first=pre, **options)

    def forward(self, ids_NS: Tensor, real_NS: Tensor, said_NT: Tensor) -> Tensor:
        length, padding = said_NT.shape[1], real_NS == 0
        found = self.stack(
            self.source(ids_NS),
            self.target(said_NT),
            tgt_mask=torch.ones(length, length, dtype=torch.bool).triu(1),
            src_key_padding_mask=padding,
            memory_key_padding_mask=padding,
            tgt_is_causal=True,
        )
        return F.linear(found, self.source.tokens.weight)


def batch(texts: int, length: int) -> tuple[Tensor, Tensor, Tensor]:
    """Sources of which the shortest is 60 % as long as the longest, and targets."""
    torch.manual_seed(0)
    real_N = torch.linspace(0.6 * length, length, texts).long()
    real_NS = (torch.arange(length)[None] < real_N[:, None]).long()
    return torch.randint(4, V.size, (texts, length)) * real_NS, real_NS, torch.randint(4, V.size, (texts, length))


def steps(point: Point, rounds: int) -> list[Record]:
    """Forward, loss and backward of both by turns."""
    ids_NS, real_NS, said_NT = batch(*LENGTHS[point.size])
    ours = models.model(point.system, V)
    dropout.replace(ours)  # as every recipe has it
    torch.manual_seed(0)
    contestants: dict[str, tuple[nn.Module, Callable[[nn.Module], Tensor]]] = {
        "ours": (ours, lambda m: m(ids_NS, real_NS, decoder_input_ids=said_NT).logits),
        "theirs": (Peer(point.system), lambda m: m(ids_NS, real_NS, said_NT)),
    }
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for module, _ in contestants.values():
        module.to(getattr(torch, point.dtype)).train()
    for turn in range(rounds + 2):
        for name, (module, logits) in contestants.items():
            started = time.perf_counter()
            F.cross_entropy(logits(module).float().flatten(0, 1), said_NT.flatten()).backward()
            taken[name] += [time.perf_counter() - started] if turn > 1 else []
            module.zero_grad()
    found = {"ours_ms": ms(taken["ours"]), "peer": "torch.nn.Transformer", "peer_ms": ms(taken["theirs"])}
    return [{"point": point.name, **found, **ratio(taken["ours"], taken["theirs"], STEP)}]


def searches(size: str, texts: int, rounds: int) -> list[Record]:
    """The same search with a cache and without, by turns; nothing ends before its time."""
    model = models.model(system(size), ENDLESS).eval()
    ids_NS, real_NS, _ = batch(texts, LENGTHS[size][1])
    taken, said = {True: list[float](), False: list[float]()}, {}
    for turn in range(rounds + 1):
        for cached, times in taken.items():
            started = time.perf_counter()
            said[cached] = model.generate(ids_NS, real_NS, SAID, BEAMS, use_cache=cached)  # pyright: ignore
            times += [time.perf_counter() - started] if turn else []
    assert said[True].shape == (texts, SAID)
    assert (said[True] == said[False]).float().mean() > 0.9  # where beams are nearly tied, rounding may decide
    point = f"{SAID} tokens by {BEAMS} beams, {texts} texts of {LENGTHS[size][1]}, width {SIZES[size][0]}, float32"
    found = {"ours_ms": ms(taken[True]), "peer": "without the cache", "peer_ms": ms(taken[False])}
    return [{"point": point, **found, **ratio(taken[True], taken[False], CACHE)}]


def parity(own: Transformer, texts: int, length: int) -> list[Record]:
    """How far both are apart in float32, given torch's weights: in outputs, and in gradients of inputs and weights."""
    from twin import compared, pair

    ours, theirs = pair(own, V)
    _, real_NS, _ = batch(texts, length)
    inputs = [torch.randn(texts, length, own.width) for _ in range(2)]
    apart = {"outputs": (0.0, 0.0), "gradients": (0.0, 0.0)}  # the largest difference, and the largest there is
    for name, found, wanted in compared(ours, theirs, *inputs, real_NS=real_NS):
        kind = "outputs" if name == "outputs" else "gradients"
        far, largest = apart[kind]
        apart[kind] = max(far, float((found - wanted).abs().max())), max(largest, float(wanted.abs().max()))
    return [{"parity": f"{shape(own, texts, length)}, {own.order}-norm", **apart}]


def points() -> Iterator[Point]:
    for size in SIZES:
        for dtype in ("float32", "bfloat16"):
            for order in ("pre", "post"):
                for share in (0.0, 0.1):
                    yield Point(size, order, share, dtype)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=11, help="of each point (default: 11)")
    parser.add_argument("--only", default="", help="what holds this text in its name; the table is then only printed")
    given = parser.parse_args()
    ledger = Ledger("transformer_speed", given.rounds, beside=[TESTS / "twin.py"])
    allocator.keep_freed()
    work: dict[str, Callable[[], list[Record]]] = {
        point.name: partial(steps, point, given.rounds) for point in points()
    }
    for size, texts in (("small", 8), ("medium", 1), ("medium", 8), ("medium", 32)):
        work[f"search {size} {texts}"] = partial(searches, size, texts, given.rounds)
    for size, order in itertools.product(SIZES, ("pre", "post")):
        own = system(size, order=order, dropout=0.0)
        work[f"parity {size} {order}"] = partial(parity, own, *LENGTHS[size])
    asked = {what: how for what, how in work.items() if given.only in what}
    for what, how in tqdm(asked.items(), unit="point"):
        ledger.measure(what, how)
    records = [record for what in asked for record in ledger.entries[what]]
    page = markdown(records, ", ".join(f"{name} {value}" for name, value in ledger.conditions.items()))
    if not given.only:
        ledger.publish(records, page)
    print(page)


def markdown(records: list[Record], about: str) -> str:
    timed = [record for record in records if "verdict" in record]
    found = Counter(record["verdict"] for record in timed)
    header = ("point", "ours", "peer", "peer", "ratio", "95 %", "goal", "verdict")
    rows = [
        (
            record["point"],
            f"{record['ours_ms']:g} ms",
            record["peer"],
            f"{record['peer_ms']:g} ms",
            f"{record['ratio']:.2f}",
            f"{record['low']:.2f} to {record['high']:.2f}",
            record["goal"],
            record["verdict"],
        )
        for record in timed
    ]
    return (
        f"# The Transformer beside torch's\n\nMade by `make bench`: {about}. Medians of the rounds, in which both take "
        "turns; *ratio* is how many times as long the peer takes. A training step is forward, loss and backward; 0.909 "
        f"is the goal of at most 1.1 times torch's time. Of {len(timed)} goals {found['reached']} are reached, "
        f"{found['tied']} lie within the interval of the rounds and {found['missed']} are missed.\n\n"
        f"{tabulate(rows, header, tablefmt='github', disable_numparse=True)}\n"
        f"{same([record for record in records if 'parity' in record])}"
    )


def same(records: list[Record]) -> str:
    """The line below the table; empty where nothing was compared."""
    if not records:
        return ""
    apart = "; ".join(
        f"{record['parity']}: outputs {_apart(*record['outputs'])}, gradients {_apart(*record['gradients'])}"
        for record in records
    )
    return (
        "\nGiven the same weights, in float32 without dropout, both differ by at most so much in outputs and in the "
        f"gradients of inputs and of every weight: {apart}.\n"
    )


def _apart(far: float, largest: float) -> str:
    return f"{far:.1e} of up to {largest:.3g}"


if __name__ == "__main__":
    main()
