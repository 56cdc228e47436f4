"""The Hugging Face hub: a repository at one commit, downloaded once, usable offline ever after."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Thread
from typing import Literal

from huggingface_hub import HfApi, constants, get_cached_repo_tree, snapshot_download
from huggingface_hub.errors import (
    CachedRepoTreeNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HTTPError,  # pyright: ignore[reportPrivateImportUsage]  of whichever HTTP client this version has
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import disable_progress_bars

from finetune.errors import InputError
from finetune.progress import Silent

Kind = Literal["model", "dataset"]
PATIENCE = 1.5  # seconds for a first answer: behind a firewall nothing may ever come


def snapshot(id_: str, kind: Kind, revision: str | None, patterns: Sequence[str], progress: Silent) -> tuple[Path, str]:
    """The matching files of a repository, and the commit they are of.

    A full commit hash that is in the cache needs no network; any other revision is asked for, and where nothing
    answers the cached copy is used.

    Raises:
        InputError: there is no such repository or revision, or nothing answers and nothing is cached.
    """
    with _plainly(id_, kind, revision):
        try:
            folder = _fetch(id_, kind, revision, patterns, progress)
        except (HTTPError, OfflineModeIsEnabled, LocalEntryNotFoundError, TimeoutError) as error:
            if isinstance(error, HfHubHTTPError) and error.response.status_code < 500:
                raise
            folder = _cached(id_, kind, revision, patterns)
            if folder is None:
                raise InputError(
                    f"{kind} {id_!r} is not in the cache and {constants.ENDPOINT} does not answer "
                    f"({_first_line(error)}); `finetune list` shows the recipes that need no hub"
                ) from error
    return Path(folder), Path(folder).name  # the cache names the folder of a snapshot by its commit


def commit(id_: str, kind: Kind, revision: str | None) -> str:
    """The commit a revision stands for now.

    Raises:
        InputError: there is no such repository or revision, or nothing answers.
    """
    with _plainly(id_, kind, revision):
        try:
            return _ask(id_, kind, revision)
        except (HTTPError, OfflineModeIsEnabled, TimeoutError) as error:
            if isinstance(error, HfHubHTTPError):
                raise
            raise InputError(f"{constants.ENDPOINT} does not answer ({_first_line(error)})") from error


def _fetch(id_: str, kind: Kind, revision: str | None, patterns: Sequence[str], progress: Silent) -> str:
    """The folder; asks the hub first whether it is there, because a download would try again for half a minute."""
    folder = _cached(id_, kind, revision, patterns)
    if folder and revision and Path(folder).name == revision and _listed(id_, kind, revision):
        return folder
    now = _ask(id_, kind, revision)
    if not (_cached(id_, kind, now, patterns) and _listed(id_, kind, now)):
        progress.say(f"fetching {kind} {id_} at {now[:12]} from {constants.ENDPOINT}")
    with nullcontext() if sys.stderr.isatty() else disable_progress_bars():
        # by its name and not by its commit: only then the cache remembers for an offline day what the name stood for
        return snapshot_download(id_, repo_type=kind, revision=revision, allow_patterns=list(patterns))


def _ask(id_: str, kind: Kind, revision: str | None) -> str:
    """The commit, or TimeoutError: the client would be patient with each address of a name anew."""
    answer: Future[str] = Future()

    def ask() -> None:
        try:
            found = HfApi().repo_info(id_, repo_type=kind, revision=revision, timeout=PATIENCE).sha
            assert found is not None
            answer.set_result(found)
        except BaseException as error:
            answer.set_exception(error)

    Thread(target=ask, daemon=True).start()  # a daemon, so that the program need not wait for it to end
    return answer.result(timeout=PATIENCE)


def _cached(id_: str, kind: Kind, revision: str | None, patterns: Sequence[str]) -> str | None:
    """The folder on this machine; perhaps only a part of it, where another program began it."""
    try:
        return snapshot_download(
            id_, repo_type=kind, revision=revision, allow_patterns=list(patterns), local_files_only=True
        )
    except LocalEntryNotFoundError:
        return None


def _listed(id_: str, kind: Kind, revision: str) -> bool:
    """Whether the cache knows every file there should be, so that what it gives is whole."""
    try:
        get_cached_repo_tree(id_, repo_type=kind, revision=revision)
    except CachedRepoTreeNotFoundError:
        return False
    return True


@contextmanager
def _plainly(id_: str, kind: Kind, revision: str | None) -> Iterator[None]:
    """Turns what the hub and its client refuse into one line."""
    try:
        yield
    except InputError:
        raise
    except GatedRepoError as error:
        raise InputError(f"{kind} {id_!r} is gated: accept its terms on the hub and set HF_TOKEN") from error
    except RevisionNotFoundError as error:
        raise InputError(f"{kind} {id_!r} has no revision {revision!r}") from error
    except RepositoryNotFoundError as error:
        raise InputError(f"there is no {kind} {id_!r} on {constants.ENDPOINT}, or it is private") from error
    except HfHubHTTPError as error:
        raise InputError(f"{constants.ENDPOINT} answered for {kind} {id_!r}: {_first_line(error)}") from error
    except ValueError as error:  # an id that cannot be one, or an answer that is no hub's
        raise InputError(f"{kind} {id_!r} cannot be asked for at {constants.ENDPOINT}: {_first_line(error)}") from error
    except OSError as error:
        reason = f"{kind} {id_!r} cannot be kept in {constants.HF_HUB_CACHE} ({error.strerror or error})"
        raise InputError(f"{reason}; set HF_HOME to a folder with room") from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
