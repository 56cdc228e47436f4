"""Our attention beside torch's and transformers' own, in the sizes of the three packaged checkpoints.

    make bench            or    python tests/benchmarks/attention_speed.py --rounds 7

Ours and its peers take turns in one process that keeps freed memory (finetune/allocator.py), as a run of ours does; a
second process, with the allocator as it is found, takes turns with the first, and says what a peer takes there. A
figure is the median of the rounds. Writes outputs/tables/attention_speed.json and .md; stopped, it goes on from there.

B batch, H heads of queries, K heads of keys and values, T tokens, D head width.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from statistics import median
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import torch
from ledger import Ledger, Record, apart, ms, product_seconds, ratio
from tabulate import tabulate
from torch import Tensor
from tqdm import tqdm
from transformers.models.bert.modeling_bert import eager_attention_forward as eager_bert
from transformers.models.llama.modeling_llama import eager_attention_forward as eager_llama

from finetune import allocator, catalog
from finetune.attention import cores
from finetune.attention.cores import Core, fused
from finetune.attention.cores.scaled_dot_product import ScaledDotProduct
from finetune.attention.forms import fastest
from finetune.attention.masks import EVERYTHING, Causal, Mask, Padding, added, lowest
from finetune.attention.swap import MultiHead
from finetune.dropout import stays
from finetune.precision import cast
from finetune.session import session

SIZES = {"minilm-l6": (12, 12, 32), "smollm2-135m": (9, 3, 64), "dinov2-small": (6, 6, 64)}  # H, K, D
LENGTHS = (65, 128, 257, 512, 2048)
TOKENS = 4096  # of a batch
FOUND, KEPT = "as found", "freed memory kept"

Attention = Callable[[Tensor, Tensor, Tensor, Mask], Tensor]


@dataclass(frozen=True)
class Point:
    model: str
    length: int
    dtype: str
    padded: bool
    backward: bool

    @property
    def name(self) -> str:
        heads, shared, width = SIZES[self.model]
        passes = "forward+backward" if self.backward else "forward"
        padding = ", padded" if self.padded else ""
        batch = TOKENS // self.length
        return f"{self.model} {batch}×{heads}({shared})×{self.length}×{width} {self.dtype} {passes}{padding}"

    def inputs(self) -> tuple[Tensor, Tensor, Tensor, Mask]:
        heads, shared, width = SIZES[self.model]
        torch.manual_seed(0)
        batch, dtype = TOKENS // self.length, getattr(torch, self.dtype)
        q, k, v = (
            torch.randn(batch, self.length, each, width, dtype=dtype).transpose(1, 2).requires_grad_(self.backward)
            for each in (heads, shared, shared)
        )
        mask: Mask = Causal() if self.model == "smollm2-135m" else EVERYTHING
        if self.padded:
            real_B = torch.linspace(0.6 * self.length, self.length, batch).long()
            mask = mask & Padding(torch.arange(self.length)[None] < real_B[:, None])
        return q, k, v, mask

    @property
    def products(self) -> float:
        """Multiplications and additions of matrix products that cannot be saved: two forward, four backward."""
        heads, _, width = SIZES[self.model]
        square = 2.0 * (TOKENS // self.length) * heads * self.length**2 * width
        return square * (6 if self.backward else 2) * (0.5 if self.model == "smollm2-135m" else 1)


def points() -> Iterator[Point]:
    for dtype in ("bfloat16", "float32"):
        for model in SIZES:
            for length in LENGTHS:
                for padded in (False, True):
                    for backward in (True, False):
                        yield Point(model, length, dtype, padded, backward)


def ours(core: Core, form: str | None, q: Tensor, k: Tensor, v: Tensor, mask: Mask) -> Tensor:
    """The core in the form it chooses, or in a given one."""
    chosen = cores.fastest
    cores.fastest = chosen if form is None else lambda *_: form  # pyright: ignore
    try:
        return core(q, k, v, mask)[0]
    finally:
        cores.fastest = chosen


def eager(q: Tensor, k: Tensor, v: Tensor, mask: Mask) -> Tensor:
    """transformers' own formula, as BERT and Llama have it; its masks are made once for all layers, so not here."""
    dense = mask.dense(q.shape[2], k.shape[2], q.device)
    bias = None if dense is None else added(dense, q.dtype)
    module = SimpleNamespace(training=False, num_key_value_groups=q.shape[1] // k.shape[1])
    function: Any = eager_bert if q.shape[1] == k.shape[1] else eager_llama
    return function(module, q, k, v, bias, scaling=q.shape[-1] ** -0.5, dropout=0.0)[0].transpose(1, 2)


def sdpa(q: Tensor, k: Tensor, v: Tensor, mask: Mask) -> Tensor:
    return fused(q, k, v, mask, q.shape[-1] ** -0.5, 0.0)


def contestants(point: Point) -> dict[str, Attention]:
    core = ScaledDotProduct()
    found: dict[str, Attention] = {"ours": partial(ours, core, None), "sdpa": sdpa, "eager": eager}
    found["plain"] = partial(ours, core, "plain")
    if point.length == max(LENGTHS):
        found["lean"] = partial(ours, core, "lean")
    return found


def seconds(attention: Attention, q: Tensor, k: Tensor, v: Tensor, mask: Mask) -> float:
    started = time.perf_counter()
    if q.requires_grad:
        context = attention(q, k, v, mask)
        context.backward(torch.ones_like(context))
    else:
        with torch.no_grad():
            attention(q, k, v, mask)
    return time.perf_counter() - started


def worker(pipe: Connection, keeps: bool) -> None:
    """Measures what it is asked for; waits while the other does."""
    if keeps:
        allocator.keep_freed()
    while (asked := pipe.recv()) is not None:
        point, rounds = asked
        inputs, names = point.inputs(), contestants(point)
        taken: dict[str, list[float]] = {name: [] for name in names}
        for turn in range(rounds + 1):
            for name, attention in names.items():
                found = seconds(attention, *inputs)
                taken[name] += [found] if turn else []  # the first is not counted
        pipe.send(taken)


def measure(point: Point, pipes: dict[str, Connection], rounds: int) -> list[Record]:
    """Ours, and each of its forms, beside a peer."""
    taken: dict[tuple[str, str], list[float]] = {}
    for part in (rounds // 2, rounds - rounds // 2):  # by turns
        for how, pipe in pipes.items():
            pipe.send((point, part))
            for name, each in pipe.recv().items():
                taken.setdefault((name, how), []).extend(each)
    q, k, _, mask = point.inputs()
    form = fastest(q, k, mask, 0.0)
    short = point.dtype == "bfloat16" and point.backward and point.length <= 257
    rows = [("ours", form, "sdpa", KEPT, 2.0 if short else 1.0), ("plain", "plain", "eager", KEPT, 1.0)]
    if ("lean", KEPT) in taken and point.backward:
        rows.append(("lean", "lean", "eager", FOUND, 2.0))
    limit = point.products * product_seconds(point.dtype)
    return [
        {
            "point": point.name,
            "form": form,
            "ours_ms": ms(taken[name, KEPT]),
            "peer": peer if how == KEPT else f"{peer}, allocator {FOUND}",
            "peer_ms": ms(taken[peer, how]),
            **ratio(taken[name, KEPT], taken[peer, how], goal, same=form == "torch"),
            "peer_as_found_ms": ms(taken[peer, FOUND]),
            "limit_ms": ms([limit]),
        }
        for name, form, peer, how, goal in rows
    ]


def extra_memory(pipe: Connection, name: str, point: Point) -> None:
    """Resident bytes that a forward and backward pass needs beyond its inputs, in a process of its own."""
    inputs, attention = point.inputs(), contestants(point)[name]
    seconds(attention, *replace(point, length=65).inputs())  # its code is loaded, and counts for nobody
    process, stop, found = psutil.Process(), threading.Event(), []
    before = process.memory_info().rss

    def sample() -> None:
        while not stop.wait(0.001):
            found.append(process.memory_info().rss)

    sampler = threading.Thread(target=sample)
    sampler.start()
    seconds(attention, *inputs)
    stop.set()
    sampler.join()
    pipe.send(max(found) - before)


def memory(point: Point, rounds: int) -> list[Record]:
    taken = {name: [apart(extra_memory, name, point) / 1e6 for _ in range(rounds)] for name in ("lean", "eager")}
    found = {"form": "lean", "ours_mb": round(median(taken["lean"])), "peer": "eager"}
    found |= {"peer_mb": round(median(taken["eager"]))}
    return [{"point": f"{point.name}, extra memory", **found, **ratio(taken["lean"], taken["eager"], 5.0)}]


def training_steps(pipe: Connection, name: str, dtype: str, rounds: int) -> None:
    """Forward and backward passes of a packaged recipe's model: stock with sdpa, and swapped."""
    recipe = catalog.load(name).of("full")
    recipe = replace(recipe, precision=dtype, split=replace(recipe.split, train_rows=320))
    torch.manual_seed(0)
    here = replace(session(recipe), kernel="sdpa")
    examples = here.examples()["train"]
    order = np.argsort(examples.lengths)
    middle = len(order) // 2 - 16
    batch = examples.batch(order[middle : middle + 32]).to(torch.device("cpu"), here.dtype)
    models = {}
    for form, attention in (("sdpa", None), ("ours", MultiHead())):
        model, head = replace(here, recipe=replace(recipe, attention=attention)).build(here.weights)
        models[form] = cast(recipe.method.prepare(model, head), here.accelerator.device, here.dtype).train()
    taken: dict[str, list[float]] = {form: [] for form in models}
    for turn in range(rounds + 1):
        for form, model in models.items():
            started = time.perf_counter()
            recipe.task.loss(model(**batch.inputs).logits, batch).backward()
            taken[form] += [time.perf_counter() - started] if turn else []
            model.zero_grad()
    shape = "×".join(map(str, next(iter(batch.inputs.values())).shape))
    pipe.send((f"{name} full training step, {shape} {dtype}", taken))


def steps(name: str, dtype: str, rounds: int) -> list[Record]:
    point, taken = apart(training_steps, name, dtype, rounds)
    found = {"form": "a swapped model", "ours_ms": ms(taken["ours"])}
    found |= {"peer": "the stock model with sdpa", "peer_ms": ms(taken["sdpa"])}
    return [{"point": point, **found, **ratio(taken["ours"], taken["sdpa"], 1.0)}]


def parts(dtype: str, rounds: int) -> list[Record]:
    """What attention is made of besides its products: why masks are added here, and dropout is drawn as it is."""
    scores = torch.randn(32, 12, 128, 128, dtype=getattr(torch, dtype))
    allowed = torch.arange(128)[None] < torch.linspace(77, 128, 32).long()[:, None]
    allowed_B11S = allowed[:, None, None]
    contests: dict[str, tuple[str, Callable[[], Tensor], str, Callable[[], Tensor]]] = {
        "a padding mask": (
            "added",
            lambda: scores + added(allowed_B11S, scores.dtype),
            "masked_fill",
            lambda: scores.masked_fill(~allowed_B11S, lowest(scores.dtype)),
        ),
        "a draw for dropout": (
            "16 bits each",
            lambda: stays(scores, 0.1, (0,)),
            "bernoulli_",
            lambda: torch.empty_like(scores).bernoulli_(0.9),
        ),
    }
    records = []
    for what, (form, ours, peer, theirs) in contests.items():
        taken: tuple[list[float], list[float]] = ([], [])
        for turn in range(rounds + 1):
            for each, function in zip(taken, (ours, theirs), strict=True):
                started = time.perf_counter()
                function()
                each.extend([time.perf_counter() - started] if turn else [])
        found = {"form": form, "ours_ms": ms(taken[0]), "peer": peer, "peer_ms": ms(taken[1])}
        records.append({"point": f"{what}, 32×12×128×128 {dtype}", **found, **ratio(*taken, 1.0)})
    return records


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7, help="of each point, in each process (default: 7)")
    parser.add_argument("--only", default="", help="what holds this text in its name; the table is then only printed")
    given = parser.parse_args()
    ledger = Ledger("attention_speed", given.rounds)
    context, pipes = multiprocessing.get_context("spawn"), {}
    for how in (FOUND, KEPT):
        pipes[how], there = context.Pipe()
        context.Process(target=worker, args=(there, how == KEPT), daemon=True).start()
        there.close()
    work: dict[str, Callable[[], list[Record]]] = {}
    for point in points():
        work[point.name] = partial(measure, point, pipes, given.rounds)
    for dtype in ("bfloat16", "float32"):
        work[f"parts {dtype}"] = partial(parts, dtype, given.rounds)
    for model in SIZES:
        point = Point(model, max(LENGTHS), "bfloat16", False, True)
        work[f"{point.name} memory"] = partial(memory, point, min(given.rounds, 3))
    for name in ("bert_r8", "gpt_reviews", "vit_mnist"):
        for dtype in ("bfloat16", "float32"):
            work[f"{name} {dtype} step"] = partial(steps, name, dtype, given.rounds)
    asked = {what: how for what, how in work.items() if given.only in what}
    for what, how in tqdm(asked.items(), unit="point"):
        ledger.measure(what, how)
    for pipe in pipes.values():
        pipe.send(None)
    records = [record for what in asked for record in ledger.entries[what]]
    page = markdown(records, ledger.conditions)
    if not given.only:
        ledger.publish(records, page)
    print(page)


def markdown(records: list[Record], conditions: dict[str, Any]) -> str:
    found = Counter(record["verdict"] for record in records)
    about = ", ".join(f"{name} {value}" for name, value in conditions.items())
    header = ("point", "ours", "ours", "peer", "peer", "as found", "ratio", "95 %", "goal", "verdict", "limit")
    rows = []
    for record in records:
        unit = "mb" if "ours_mb" in record else "ms"
        alone = record["low"] == record["high"]
        rows.append(
            (
                record["point"],
                record["form"],
                amount(record, f"ours_{unit}"),
                record["peer"],
                amount(record, f"peer_{unit}"),
                amount(record, "peer_as_found_ms"),
                f"{record['ratio']:.2f}",
                "–" if alone else f"{record['low']:.2f} to {record['high']:.2f}",
                record["goal"],
                record["verdict"],
                amount(record, "limit_ms"),
            )
        )
    return (
        f"# Attention beside its peers\n\nMade by `make bench`: {about}. Medians; *as found* is the peer without our "
        "allocator's settings, *limit* what the products alone take at the rate of the largest. Of "
        f"{len(records)} goals {found['reached']} are reached, {found['tied']} lie within the interval of the rounds, "
        f"{found['missed']} are missed, and {found['same']} times ours is torch's own kernel, the same as its peer.\n\n"
        f"{tabulate(rows, header, tablefmt='github', disable_numparse=True)}\n"
    )


def amount(record: Record, name: str) -> str:
    return f"{record[name]:g} {'MB' if name.endswith('mb') else 'ms'}" if name in record else "–"


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
