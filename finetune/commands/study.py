"""measure why a part of the Transformer is as it is: scale, gradients, padding, coverage, depth"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from finetune import commands
from finetune.commands import Command
from finetune.errors import InputError, one_of

if TYPE_CHECKING:
    from finetune.studies import Study as Measurement

SEEDS = 5


class Study(Command):
    """No training: less than a minute on two cores."""

    example = "finetune study scale"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", metavar="STUDY", help="a name of `finetune list studies`")
        parser.add_argument("--seeds", type=int, default=SEEDS, help=f"how many (default: {SEEDS})")
        parser.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="FIELD=VALUE",
            dest="settings",
            help="set a field of the study, for example --set widths=8,64,512",
        )
        parser.add_argument(
            "--save",
            action="store_true",
            help="also write the table as OUT/tables/study-STUDY.md, .csv, .tex and .json",
        )
        commands.takes_figure(parser)
        commands.takes_format(parser)
        commands.takes_out(parser)

    def run(self, given: Any) -> int:
        from finetune import axes, studies

        commands.check_figure(given)
        kind = axes.find(studies, given.name, studies.Study)
        points = changed(kind(), given.settings).over(given.seeds)  # pyright: ignore[reportAbstractUsage]
        commands.publish(points, given, f"study-{given.name}" if given.save else None)
        return 0


def changed(study: Measurement, settings: list[str]) -> Measurement:
    """The study with `field=value` applied, each value read as its field's type.

    Raises:
        InputError: no such field, or not such a value.
    """
    from finetune.parts import hints, parse

    known = hints(type(study))
    for setting in settings:
        name, equals, text = (each.strip() for each in setting.partition("="))
        if not equals:
            raise InputError(f"--set takes field=value, got {setting!r}; for example --set {next(iter(known))}=…")
        if name not in known:
            raise one_of(f"field of {type(study).__name__}", name, known)
        study = replace(study, **{name: parse(text, known[name], f"{study.where}.{name}")})
    return study
