"""Our attention beside torch's and transformers' own, in the sizes of the three packaged checkpoints.

    make bench            or    python tests/benchmarks/attention_speed.py --rounds 7

Ours and its peers take turns in one process that keeps freed memory (finetune/allocator.py), as a run of ours does; a
second process, with the allocator as it is found, takes turns with the first, and says what a peer takes there. A
figure is the median of the rounds. Writes outputs/tables/attention_speed.json and .md.

B batch, H heads of queries, K heads of keys and values, T tokens, D head width.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import torch
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
from finetune.attention.masks import EVERYTHING, Causal, Mask, Padding, added
from finetune.attention.swap import MultiHead
from finetune.precision import cast
from finetune.session import session

TABLES = Path(__file__).parents[2] / "outputs" / "tables"
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


def extra_memory(pipe: Connection, name: str, point: Point) -> None:
    """Resident bytes that a forward and backward pass needs beyond its inputs, in a process of its own."""
    inputs, attention = point.inputs(), contestants(point)[name]
    seconds(contestants(point)["sdpa"], *Point(point.model, 65, point.dtype, False, True).inputs())  # code is loaded
    process, peak = psutil.Process(), multiprocessing.Value("q", 0)
    before = process.memory_info().rss
    stop = multiprocessing.Event()

    def sample() -> None:
        while not stop.wait(0.001):
            peak.value = max(peak.value, process.memory_info().rss)

    import threading

    sampler = threading.Thread(target=sample)
    sampler.start()
    seconds(attention, *inputs)
    stop.set()
    sampler.join()
    pipe.send(peak.value - before)


def apart(target: Callable[..., None], *arguments: Any) -> Any:
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=target, args=(there, *arguments))
    process.start()
    there.close()  # or a process that fails is waited for forever
    found = here.recv()
    process.join()
    return found


def product_rate(dtype: str) -> float:
    """Operations a second of large matrix products at their fastest: the limit of everything that is made of them."""
    a, b = (torch.randn(2048, 2048, dtype=getattr(torch, dtype)) for _ in range(2))
    taken = []
    for _ in range(40):
        started = time.perf_counter()
        a @ b
        taken.append(time.perf_counter() - started)
    return 2 * 2048**3 / min(taken)


def training_steps(pipe: Connection, name: str, dtype: str, rounds: int) -> None:
    """Milliseconds of forward and backward passes of a packaged recipe's model: stock with sdpa, and swapped."""
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
    ms = {form: 1e3 * statistics.median(each) for form, each in taken.items()}
    pipe.send((f"{name} full training step, {shape} {dtype}", ms))


def compare(point: Point, taken: dict[str, dict[str, list[float]]], rate: float) -> Iterator[dict[str, Any]]:
    """Lines of the record: a point, ours, a peer."""
    ms = {(name, how): 1e3 * statistics.median(each) for how, all_ in taken.items() for name, each in all_.items()}
    q, k, _, mask = point.inputs()
    short = point.dtype == "bfloat16" and point.backward and point.length <= 257
    rows = [("ours", fastest(q, k, mask, 0.0), "sdpa", KEPT, 2.0 if short else 1.0)]
    rows.append(("plain", "plain", "eager", KEPT, 1.0))
    if ("lean", KEPT) in ms and point.backward:
        rows.append(("lean", "lean", "eager", FOUND, 2.0))
    for name, form, peer, how, goal in rows:
        yield {
            "point": point.name,
            "form": form,
            "ours_ms": round(ms[name, KEPT], 2),
            "peer": peer if how == KEPT else f"{peer}, allocator {FOUND}",
            "peer_ms": round(ms[peer, how], 2),
            "peer_as_found_ms": round(ms[peer, FOUND], 2),
            "ratio": round(ms[peer, how] / ms[name, KEPT], 2),
            "goal": goal,
            "limit_ms": round(1e3 * point.products / rate, 2),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7, help="of each point, in each process (default: 7)")
    parser.add_argument("--only", default="", help="points whose name holds this text")
    given = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    pipes = {}
    for how in (FOUND, KEPT):
        here, there = context.Pipe()
        context.Process(target=worker, args=(there, how == KEPT), daemon=True).start()
        there.close()
        pipes[how] = here
    rates = {dtype: product_rate(dtype) for dtype in ("bfloat16", "float32")}
    records: list[dict[str, Any]] = []
    for point in tqdm([each for each in points() if given.only in each.name], unit="point"):
        taken: dict[str, dict[str, list[float]]] = {how: {} for how in pipes}
        for rounds in (given.rounds // 2, given.rounds - given.rounds // 2):  # by turns
            for how, pipe in pipes.items():
                pipe.send((point, rounds))
                for name, each in pipe.recv().items():
                    taken[how].setdefault(name, []).extend(each)
        records += compare(point, taken, rates[point.dtype])
    for pipe in pipes.values():
        pipe.send(None)
    for model in SIZES:
        point = Point(model, max(LENGTHS), "bfloat16", False, True)
        if given.only in point.name:
            lean, stock = (apart(extra_memory, name, point) / 1e6 for name in ("lean", "eager"))
            records.append(
                {
                    "point": f"{point.name}, extra memory in MB",
                    "form": "lean",
                    "ours_ms": None,
                    "ours_mb": round(lean),
                    "peer": "eager",
                    "peer_ms": None,
                    "peer_mb": round(stock),
                    "ratio": round(stock / lean, 2),
                    "goal": 5.0,
                }
            )
    for name in ("bert_r8", "gpt_reviews", "vit_mnist"):
        for dtype in ("bfloat16", "float32"):
            if given.only in f"{name} training":
                what, ms = apart(training_steps, name, dtype, given.rounds)
                records.append(
                    {
                        "point": what,
                        "form": "a swapped model",
                        "ours_ms": round(ms["ours"], 1),
                        "peer": "the stock model with sdpa",
                        "peer_ms": round(ms["sdpa"], 1),
                        "ratio": round(ms["sdpa"] / ms["ours"], 2),
                        "goal": 1.0,
                    }
                )
    where = {
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "rounds": given.rounds,
        "product_rate_gflops": {dtype: round(rate / 1e9) for dtype, rate in rates.items()},
    }
    if not given.only:
        (TABLES / "attention_speed.json").write_text(json.dumps(records, indent=1, ensure_ascii=False) + "\n")
        (TABLES / "attention_speed.md").write_text(markdown(records, where))
    print(markdown(records, where))


def markdown(records: list[dict[str, Any]], where: dict[str, Any]) -> str:
    reached = sum(record["ratio"] >= record["goal"] for record in records)
    about = ", ".join(f"{name} {value}" for name, value in where.items())
    header = ("point", "ours", "ours ms", "peer", "peer ms", "as found ms", "ratio", "goal", "limit ms")
    rows = [
        (
            record["point"],
            record["form"],
            record["ours_ms"] or f"{record['ours_mb']} MB",
            record["peer"],
            record["peer_ms"] or f"{record['peer_mb']} MB",
            record.get("peer_as_found_ms", "–"),
            f"{record['ratio']:.2f}",
            record["goal"],
            record.get("limit_ms", "–"),
        )
        for record in records
    ]
    return (
        f"# Attention beside its peers\n\nMade by `make bench`: {about}. Medians. Where ours is "
        f"`torch` it is torch's own kernel, and the ratio says how much a ratio of equals varies. {reached} of "
        f"{len(records)} goals are reached.\n\n"
        f"{tabulate(rows, header, tablefmt='github')}\n"
    )


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
