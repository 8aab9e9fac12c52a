"""A stand-in for Label Studio's server, which answers what a test puts there."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

pytest.importorskip("starlette", reason="starlette is not installed")

LEGACY, JWT = "0123456789abcdef", "e30.e30.e30"


class Studio:
    """What is at each path, and what was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, str, bytes]] = {}
        self.asked: list[tuple[str, str]] = []
        self.put("/api/version", {"release": "1.23.2"})
        self.put("/api/current-user/whoami", {"id": 1})
        self.put("/api/token/refresh", {"access": "short"})
        self.port = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def put(self, path: str, value: Any, status: int = 200, kind: str = "application/json") -> None:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.answers[path] = (status, kind, data)

    def put_tasks(self, project: int, tasks: list[Any]) -> None:
        self.put(f"/api/projects/{project}/export?exportType=JSON", tasks)


@pytest.fixture
def studio() -> Iterator[Studio]:
    made = Studio()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append((self.path, self.headers.get("Authorization", "")))
            known = ("Token " + LEGACY, "Bearer short")
            if self.command == "GET" and self.headers.get("Authorization") not in known:
                status, kind, data = 401, "application/json", b'{"detail": "Invalid token."}'
            else:
                missing = (404, "application/json", b'{"detail": "Not found."}')
                status, kind, data = made.answers.get(self.path, missing)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *about: Any) -> None:
            """Nothing is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield made
    server.shutdown()
    server.server_close()
