"""What a user gave cannot work: one line that names the field, the value and what would be right."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

SHOWN = 20  # names in one error: it is to stay a line


class InputError(ValueError):
    """Bad input. Its text is the one line the user sees; the command line ends with exit code 2."""


def one_of(what: str, given: str, known: Iterable[str]) -> InputError:
    """The error for a name that is not among the known ones, with the nearest of them first."""
    names = sorted(known)
    near = get_close_matches(given, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return InputError(f"unknown {what} {given!r}; {hint}known: {', '.join(names[:SHOWN]) or 'none'}{more}")


def missing(what: str, path: Path) -> InputError:
    """The error for a path where nothing is, with the folder it was looked for in and the nearest name there."""
    folder = path.absolute().parent
    near = get_close_matches(path.name, [each.name for each in folder.glob("*")], n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else "" if folder.is_dir() else ", and there is no such folder"
    return InputError(f"there is no {what} {path.name!r} in {folder}{hint}")
