"""The Hugging Face hub: a repository at one commit, downloaded once, usable offline ever after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from finetune.errors import InputError

PATIENCE = 1.5  # seconds for a first answer: behind a firewall nothing may ever come


def snapshot(
    id_: str,
    kind: Literal["model", "dataset"],
    revision: str | None,
    patterns: Sequence[str],
    tell: Callable[[str], None],
) -> tuple[Path, str]:
    """The matching files of a repository, and the commit they are of.

    A full commit hash that is in the cache needs no network; any other revision is asked for, and where nothing
    answers the cached copy is used.

    Raises:
        InputError: there is no such repository or revision, or nothing answers and nothing is cached.
    """
    try:
        commit = revision if revision and _cached(id_, kind, revision, patterns) else _commit(id_, kind, revision)
        if not _cached(id_, kind, commit, patterns):
            tell(f"fetching {kind} {id_} at {commit[:12]} from {constants.ENDPOINT}")
        folder = snapshot_download(id_, repo_type=kind, revision=commit, allow_patterns=list(patterns))
    except (HTTPError, OfflineModeIsEnabled, LocalEntryNotFoundError, TimeoutError) as error:
        folder = _cached(id_, kind, revision or "main", patterns)
        if folder is None:
            raise InputError(
                f"{kind} {id_!r} is not in the cache and {constants.ENDPOINT} does not answer "
                f"({type(error).__name__}); `finetune list` shows the recipes that need no hub"
            ) from error
    return Path(folder), Path(folder).name  # the cache names the folder of a snapshot by its commit


def _cached(id_: str, kind: str, revision: str, patterns: Sequence[str]) -> str | None:
    try:
        return snapshot_download(
            id_, repo_type=kind, revision=revision, allow_patterns=list(patterns), local_files_only=True
        )
    except LocalEntryNotFoundError:
        return None


def _commit(id_: str, kind: str, revision: str | None) -> str:
    """The commit a revision stands for now."""
    try:
        found = HfApi().repo_info(id_, repo_type=kind, revision=revision, timeout=PATIENCE).sha
    except GatedRepoError as error:
        raise InputError(f"{kind} {id_!r} is gated: accept its terms on the hub and set HF_TOKEN") from error
    except RevisionNotFoundError as error:
        raise InputError(f"{kind} {id_!r} has no revision {revision!r}") from error
    except RepositoryNotFoundError as error:
        raise InputError(f"there is no {kind} {id_!r} on {constants.ENDPOINT}, or it is private") from error
    except HfHubHTTPError as error:
        raise InputError(f"{constants.ENDPOINT} answered for {kind} {id_!r}: {str(error).splitlines()[0]}") from error
    assert found is not None
    return found
