"""draw what the heads of a checkpoint look at, before and after fine-tuning, or how alike its positions are"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune import commands
from finetune.commands import Command
from finetune.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from finetune.report.grounds import Ground
    from finetune.seen import Seen
    from finetune.session import Session


class Attention(Command):
    example = 'finetune attention bert_r8 "oil prices rose" --layer 2 --save maps.svg'

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("recipe", metavar="RECIPE", help="a name of `finetune list`, or a .py file of yours")
        parser.add_argument(
            "input", metavar="INPUT", nargs="?", help="a text, or the path of an image (default: the first test row)"
        )
        parser.add_argument(
            "--layer", help="its number from 1, or all: the mean of each one's heads (default: the last)"
        )
        parser.add_argument("--after", metavar="FOLDER", help="of a finished run: its maps as well, and the difference")
        parser.add_argument("--positions", action="store_true", help="how alike positions are, instead of maps")
        parser.add_argument("--save", metavar="FILE", help="a .png or .svg (default: a .png in OUT/figures)")
        commands.takes_attention(parser)
        commands.takes_out(parser)
        commands.takes_settings(parser)

    def run(self, given: Any) -> int:
        from finetune import look
        from finetune.report import figures

        _check(given)
        recipe = commands.recipe(given, given.recipe, None, given.attention)
        what = "positions" if given.positions else "before-after" if given.after else "attention"
        path = Path(given.save or Path(given.out, "figures", f"{recipe.name}-{what}.png"))
        figures.check_ending(path)
        here = look.opened(recipe, commands.progress())
        figure = _positions(here) if given.positions else (_change if given.after else _maps)(here, given)
        figures.save(figure, path)
        print(f"\ndrawn in {path}")
        return 0


def _check(given: Any) -> None:
    """
    Raises:
        InputError: options that have nothing to say to each other.
    """
    others = {"INPUT": given.input, "--layer": given.layer, "--after": given.after, "--attention": given.attention}
    for name, value in others.items():
        if given.positions and value is not None:
            raise InputError(f"--positions are the checkpoint's, whatever it reads or learns: leave out {name}")
    if given.input is not None and not given.input.strip():
        raise InputError(
            f"INPUT is empty, and nothing in it to look at: got {given.input!r}; leave it out for a test row"
        )
    if given.after and given.attention:
        raise InputError("--after shows the run's own attention, before and after: leave out --attention")


def _maps(here: Session, given: Any) -> Figure:
    from finetune import look
    from finetune.report import figures
    from finetune.seen import see

    seen = see(here, given.input)
    found = look.look(look.untrained(here, here.facts().labels), seen)
    layer = found.layer(given.layer)
    title = f"Attention of {here.recipe.name}, {found.where(layer)}"
    name = here.recipe.attention_name
    swapped = "" if name == "multihead" else f"; {name} in place of its own"
    _tell(
        f"{title} ({seen.said}{swapped})",
        ("head", "entropy bits", f"reach {seen.unit}", "greatest weight"),
        [
            (head, f"{bits:.2f}", "–" if isnan(far) else f"{far:.1f}", most)
            for head, bits, far, most in found.facts(layer)
        ],
    )
    below = f"{seen.said}{swapped}; {seen.drawn}"
    return figures.maps(_ground(seen), found.panels(layer), found.rollout(), title=title, below=below)


def _change(here: Session, given: Any) -> Figure:
    from finetune import look
    from finetune.report import figures
    from finetune.seen import see

    seen = see(here, given.input)
    before, after = (look.look(model, seen) for model in look.finished(here, given.after))
    layer = before.layer(given.layer)
    run = Path(given.after).resolve().name
    title = f"Attention of {here.recipe.name}, {before.where(layer)}, before and after {run}"
    _tell(
        f"{title} ({seen.said})",
        ("head", "moved %", "mean |change|", "greatest change"),
        [
            (head, f"{100 * share:.1f}", f"{mean:.4f}", most)
            for head, share, mean, most in look.changes(before, after, layer)
        ],
    )
    return figures.change(
        _ground(seen),
        before.panels(layer),
        after.panels(layer),
        (before.rollout(), after.rollout()),
        title=title,
        below=f"{seen.said}; {seen.drawn}",
    )


def _positions(here: Session) -> Figure:
    from finetune import look
    from finetune.attention.similarity import by_distance
    from finetune.report import figures

    found = look.positions(here)
    kinds = {
        f"{found.kind} positions of {here.recipe.name}": found.own_NN,
        "sinusoidal (Vaswani 2017)": found.waves_NN,
    }
    falls = {name: by_distance(similar_NN, found.apart).numpy() for name, similar_NN in kinds.items()}
    unit = "tokens" if found.plane is None else "patches"
    distances = [2**power for power in range(12) if 2**power <= min(map(len, falls.values()))]
    _tell(
        f"mean cosine similarity of positions so many {unit} apart",
        ("", *map(str, distances)),
        [(name, *(f"{each[distance - 1]:+.2f}" for distance in distances)) for name, each in falls.items()],
    )
    drawn = {
        name: figures.mosaic(each.numpy(), *found.plane) if found.plane else each.numpy()
        for name, each in kinds.items()
    }
    title = f"How alike the positions of {here.recipe.name} are"
    each = "each tile is one patch, and how alike the others are to it" if found.plane else "each with each"
    return figures.positions(
        drawn,
        falls,
        unit=unit,
        tiled=found.plane is not None,
        title=title,
        below=f"{len(found.own_NN)} positions, {each}: neighbours should be, and far ones not",
    )


def _tell(title: str, header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    from tabulate import tabulate

    print(f"{title}\n")
    print(tabulate(rows, header, disable_numparse=True, colalign=("left", *["right"] * (len(header) - 1))))


def _ground(seen: Seen) -> Ground:
    from finetune.report.grounds import Picture, Text
    from finetune.seen import SeenImage, SeenText

    assert isinstance(seen, SeenText | SeenImage)
    return Text(seen.tokens) if isinstance(seen, SeenText) else Picture(seen.image_YXC)
