"""What a user gave cannot work: one line that names the field, the value and what would be right."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

SHOWN = 20  # names in one error: it is to stay a line


class InputError(ValueError):
    """Bad input. Its text is the one line the user sees; the command line ends with exit code 2."""


class NoFieldError(InputError):
    """A setting reaches no field of this recipe. Another recipe may have it."""

    def __init__(self, owner: str, name: str, known: Iterable[str], left: int, text: str = "") -> None:
        self.owner, self.name, self.known = owner, name, tuple(known)  # the part that lacks it, the name, those it has
        self.left = left  # names of the setting's path after this one
        super().__init__(text or str(one_of(f"field of {owner}", name, self.known)))


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
    # by what comes before the ending: any two .py are alike behind it. Of one such name the file of that ending
    known = {each.stem: each.name for each in sorted(folder.glob("*"), key=lambda each: each.suffix == path.suffix)}
    near = get_close_matches(path.stem, known, n=1)
    hint = f"; did you mean {known[near[0]]!r}?" if near else "" if folder.is_dir() else ", and there is no such folder"
    return InputError(f"there is no {what} {path.name!r} in {folder}{hint}")
