"""A real HTTP server on loopback that serves bytes, in whole, in part, or not as it should."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class Loopback:
    """Serves `files` (path -> bytes) with Range support, and remembers what it was asked.

    `cut[path]` holds the number of body bytes after which each coming answer breaks off;
    `status[path]` the error codes of the coming answers; `ranges` False ignores Range.
    """

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.cut: dict[str, list[int]] = {}
        self.status: dict[str, list[int]] = {}
        self.ranges = True
        self.start_over = False  # whether a part that is asked for begins at the first byte
        self.declare_length = True
        self.requests: list[tuple[str, str | None]] = []  # path, Range header
        self.sent: dict[str, int] = {}  # path -> body bytes sent

    def __enter__(self) -> Self:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path, wanted = request.path, request.headers["Range"]
        self.requests.append((path, wanted))
        code = self.status[path].pop(0) if self.status.get(path) else 200
        if path not in self.files or code != 200:
            request.send_error(404 if code == 200 else code)
            return
        body = self.files[path]
        start = 0
        if wanted and self.ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(body):
                request.send_error(416)
                return
            start = 0 if self.start_over else start
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            request.send_response(200)
        body = body[start:]
        if self.declare_length:
            request.send_header("Content-Length", str(len(body)))
        cut = self.cut[path].pop(0) if self.cut.get(path) else None
        if cut is not None or not self.declare_length:
            request.close_connection = True
            request.send_header("Connection", "close")
        request.end_headers()
        self.sent[path] = self.sent.get(path, 0) + len(body[:cut])  # before the client has it all
        request.wfile.write(body[:cut])
