"""The command line; with commands/ and progress.py all that prints."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

from finetune import axes, commands, peers, processes
from finetune.commands import Command
from finetune.errors import InputError
from finetune.signals import Stopped


class Parser(argparse.ArgumentParser):
    """argparse whose complaints are one line with the nearest word that would have been right."""

    def error(self, message: str) -> NoReturn:
        wrong = re.search(r"invalid choice: '([^']+)'|unrecognized arguments: (\S+)", message)
        near = difflib.get_close_matches(wrong[1] or wrong[2], self._words(), n=1) if wrong else []
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InputError(f"{message}{hint}; see {self.prog} --help")

    def _words(self) -> set[str]:
        """Every option and every choice, of the commands below too."""
        found: set[str] = set()
        for action in self._actions:
            found |= {*action.option_strings, *map(str, action.choices or ())}
            if isinstance(action.choices, dict):
                found |= {word for below in action.choices.values() for word in below._words()}
        return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code.

    0, 1 where something did not succeed, 2 for bad input, 75 where a process of the run was lost, 128 and its number
    where a signal ended it.
    """
    try:
        arguments = sys.argv[1:] if arguments is None else arguments
        given = parser().parse_args(arguments)
        if (count := getattr(given, "processes", None)) is not None:
            if not processes.launched():
                ended = processes.start(count, arguments)
                for line in ended.lines:
                    print(f"finetune: {line}", file=sys.stderr)
                return ended.code
            processes.check(count)
        with peers.named():
            return given.command.run(given)
    except InputError as error:
        _say(str(error))
        return 2
    except Stopped as stopped:
        after = "" if stopped.step is None else f" after update {stopped.step}; the same command goes on from there"
        _say(f"stopped by {stopped.name}{after}")
        return int(stopped.code or 0)
    except peers.Lost as lost:
        _say(lost.why)
        return peers.LOST
    except KeyboardInterrupt:
        _say("stopped; runs that were done stay done")
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0


def _say(line: str) -> None:
    """The last line of a command; what several processes say alike is said once."""
    if not processes.leave(line):
        print(f"finetune: {line}", file=sys.stderr)


def launch(file: str) -> NoReturn:
    """A recipe file as a program: `accelerate launch recipes/bert_r8.py --method full`."""
    raise SystemExit(main(["run", file, *sys.argv[1:]]))


def parser() -> Parser:
    top = Parser(
        prog="finetune",
        description="Frozen backbone, LoRA or full fine-tuning? Measured on your checkpoint, data and hardware.",
        epilog="example: finetune compare bert_r8 --rows 600 --seeds 2",
        allow_abbrev=False,
    )
    below = top.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    for kind in axes.every(commands, Command):
        module = kind.__module__
        text = (sys.modules[module].__doc__ or "").strip()
        one = below.add_parser(
            module.rpartition(".")[2],
            help=text,
            description=text[0].upper() + text[1:] + ".",
            epilog=f"example: {kind.example}",
            allow_abbrev=False,
        )
        command = kind()  # pyright: ignore[reportAbstractUsage]
        command.arguments(one)
        one.set_defaults(command=command)
    return top
