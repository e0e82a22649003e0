# SPDX-License-Identifier: Apache-2.0
"""A web server for a folder, on a free port of this machine."""

import threading
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any


class _Handler(SimpleHTTPRequestHandler):
    server: "_Server"

    def list_directory(self, path: Any) -> Any:
        if self.server.lists:
            return super().list_directory(path)
        self.send_error(404)
        return None

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        self.server.on_request(self.path)
        super().do_GET()

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    lists = True
    paths: list[str]
    on_request: Callable[[str], None]


class WebServer:
    """Serves a folder.

    Attributes:
        paths: What was asked for by GET.
        on_request: Called with the path before each answer.
    """

    def __init__(self, folder: Path, *, lists: bool = True) -> None:
        self._server = _Server(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))
        self._server.lists = lists
        self.paths = self._server.paths = []
        self._server.on_request = lambda path: self.on_request(path)
        self.on_request: Callable[[str], None] = lambda path: None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "WebServer":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
