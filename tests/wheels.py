"""A package index in a folder or on loopback, with one tiny wheel on it."""

from __future__ import annotations

import hashlib
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from finetune.assets import Asset
from finetune.wheel import Wheel

ROWS, SECRET = b"a\tone\nb\ttwo\n", b"never read"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def ship(index: Path, **members: bytes) -> Asset:
    """Put a wheel on the index; the asset keeps its rows.tab only."""
    path = index / "tiny-1.0-py3-none-any.whl"
    dist = {
        "tiny-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
        "tiny-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "tiny-1.0.dist-info/RECORD": b"",
    }
    shipped = {"tiny/rows.tab": ROWS, "tiny/secret.txt": SECRET, **{f"tiny/{k}.tab": v for k, v in members.items()}}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (shipped | dist).items():
            archive.writestr(name, data)
    return Asset(
        name="tiny",
        kind="data",
        wheel=Wheel(requirement="tiny==1.0", sha256=sha256(path.read_bytes()), megabytes=1),
        members={"tiny/rows.tab": sha256(ROWS)},
        licence="none",
        note="",
    )


class _SlowIndex(SimpleHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        if self.path.endswith(".whl"):
            self.asked.append(self.path)
            time.sleep(1)  # long enough that the other process is surely waiting
        super().do_GET()

    def copyfile(self, source: Any, outputfile: Any) -> None:
        while chunk := source.read(100_000):
            outputfile.write(chunk)
            time.sleep(0.05)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def served(index: Path) -> Iterator[tuple[str, list[str]]]:
    """The folder on loopback, two megabytes a second: its address, and the wheels that were asked for."""
    asked: list[str] = []
    handler = type("Handler", (_SlowIndex,), {"asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(index))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/", asked
        finally:
            server.shutdown()
            thread.join()
