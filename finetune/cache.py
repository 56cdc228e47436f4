"""The user's cache: what was fetched or computed once, and can be again."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from finetune.errors import InputError

CANNOT_WRITE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR, errno.EEXIST}


def cache_dir() -> Path:
    """Where fetched assets live: $FINETUNE_CACHE, else the user's cache folder."""
    own = os.environ.get("FINETUNE_CACHE")
    shared = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return (Path(own) if own else Path(shared, "finetune")).expanduser().absolute()


FEATURES = "features"  # what frozen backbones made of examples
ENCODED = "encoded"  # which rows are in which split, and the token ids of texts
UNTRAINED = "untrained"  # checkpoints with random weights
KEPT = (FEATURES, ENCODED, UNTRAINED)


def kept_dir(name: str) -> Path:
    """Where something of `KEPT` is, for runs to come."""
    return cache_dir() / name


def remove(name: str) -> None:
    """Forget something of `KEPT`; runs that need it make it again.

    Raises:
        InputError: the cache cannot be written.
    """
    with writing_cache(), suppress(FileNotFoundError):
        shutil.rmtree(kept_dir(name))


@contextmanager
def keeping(folder: Path) -> Iterator[Path]:
    """A folder to fill, which then takes the place of `folder` as a whole: what is cut short is never seen.

    Raises:
        InputError: the cache cannot be written.
    """
    with writing_cache():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder.parent) as scratch:
            yield Path(scratch)
            shutil.rmtree(folder, ignore_errors=True)  # what was damaged
            try:
                Path(scratch).rename(folder)
            except OSError:  # another process was faster: a folder with something in it is not replaced
                if not folder.is_dir():
                    raise


@contextmanager
def writing_cache() -> Iterator[None]:
    """Turns the system's complaint about a cache that cannot be written into one line."""
    try:
        yield
    except OSError as error:
        if error.errno not in CANNOT_WRITE:
            raise
        reason = f"cannot write the cache {cache_dir()} ({error.strerror})"
        raise InputError(f"{reason}; set FINETUNE_CACHE to a folder with room") from error
