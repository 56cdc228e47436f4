"""A hub on loopback: serves folders as models and data sets, and remembers what huggingface_hub asked for."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote, urlsplit

from finetune.hashing import content_key


@dataclass
class Repository:
    """One model or data set; every commit is kept."""

    id: str
    commits: dict[str, dict[str, Path]] = field(default_factory=dict)  # commit → file name → where it lies
    branches: dict[str, str] = field(default_factory=dict)
    gated: bool = False  # its page is public, its files are not


class HubServer:
    """Answers on `url` while it is entered as a context; afterwards connections are refused."""

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], Repository] = {}  # by kind ("model", "dataset") and id
        self.renamed: dict[str, str] = {}  # old id → id: asked for the old one, it redirects
        self.requests: list[str] = []  # method and path, in order
        self.down = False  # answers 503 to everything
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> HubServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def publish(self, kind: str, id_: str, folder: Path, branch: str = "main") -> str:
        """Commit what a folder holds now to a branch; the commit's hash."""
        files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
        commit = content_key(id_, *(f"{name} {_oid(path)}" for name, path in files.items()))[:40]
        repository = self.repositories.setdefault((kind, id_), Repository(id_))
        repository.commits[commit] = files
        repository.branches[branch] = commit
        return commit

    def downloaded(self) -> list[str]:
        """The names of the files whose content was asked for, sorted."""
        asked = [
            each.split("/resolve/")[1] for each in self.requests if each.startswith("GET ") and "/resolve/" in each
        ]
        return sorted(each.split("/", 1)[1] for each in asked)


def _oid(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha1").hexdigest()


def _entry(name: str, path: Path) -> dict[str, object]:
    return {"type": "file", "path": name, "size": path.stat().st_size, "oid": _oid(path)}


class _Handler(BaseHTTPRequestHandler):
    """`/api/models/ID[/revision/REV]`, `/api/models/ID/tree/REV`, `/ID/resolve/REV/FILE`; data sets alike."""

    protocol_version = "HTTP/1.1"

    def __init__(self, hub: HubServer, *given: object) -> None:
        self.hub = hub
        super().__init__(*given)  # pyright: ignore[reportArgumentType]

    def do_GET(self) -> None:
        self.hub.requests.append(f"{self.command} {self.path}")
        if self.hub.down:
            return self._send(503)
        path = unquote(urlsplit(self.path).path)
        api, kind = path.startswith("/api/"), "dataset" if "datasets/" in path else "model"
        path = path.removeprefix("/api").removeprefix(f"/{kind}s").strip("/")
        verb = next((verb for verb in ("revision", "tree", "resolve") if f"/{verb}/" in path), "")
        id_, _, rest = path.partition(f"/{verb}/") if verb else (path, "", "main")
        if id_ in self.hub.renamed:
            return self._send(307, {"Location": self.path.replace(id_, self.hub.renamed[id_])})
        if (repository := self.hub.repositories.get((kind, id_))) is None:
            return self._send(404, {"X-Error-Code": "RepoNotFound"})
        name = "" if api else rest.partition("/")[2]
        revision = rest if api else rest.partition("/")[0]
        commit = repository.branches.get(revision, revision)
        if commit not in repository.commits:
            return self._send(404, {"X-Error-Code": "RevisionNotFound"})
        files = repository.commits[commit]
        if verb == "tree":
            return self._json([_entry(name, path) for name, path in files.items()])
        if api:
            return self._json({"id": id_, "sha": commit, "siblings": [{"rfilename": name} for name in files]})
        if repository.gated:
            return self._send(403, {"X-Error-Code": "GatedRepo"})
        if name not in files:
            return self._send(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
        return self._file(files[name], commit)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None: ...

    def _file(self, path: Path, commit: str) -> None:
        size = path.stat().st_size
        self._head(200, {"X-Repo-Commit": commit, "ETag": f'"{_oid(path)}"', "Content-Length": str(size)})
        if self.command == "GET":
            with path.open("rb") as file:
                shutil.copyfileobj(file, self.wfile)

    def _json(self, value: object) -> None:
        self._send(200, {"Content-Type": "application/json"}, json.dumps(value).encode())

    def _send(self, status: int, headers: Mapping[str, str] = {}, body: bytes = b"{}") -> None:
        self._head(status, {**headers, "Content-Length": str(len(body))})
        if self.command == "GET":
            self.wfile.write(body)

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
