"""Names for content: equal where the content is, and only there."""

from __future__ import annotations

import hashlib
from pathlib import Path


def content_key(*parts: object) -> str:
    """A hash of several values in order; values that print alike are alike."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
