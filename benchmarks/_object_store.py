"""A real S3 server (moto, over HTTP) that can be slow, fail, and be counted.

    python benchmarks/_object_store.py PORT SECONDS

serves with SECONDS added to each request, until it is ended.
"""

import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Environ = dict[str, Any]
#: Takes the request, and answers it (status, headers, body), or leaves it to the store with None.
Fault = Callable[[Environ], tuple[str, list[tuple[str, str]], bytes] | None]


def _no_fault(request: Environ) -> None:
    return None


def _as_it_is(request: Environ, body: bytes) -> bytes:
    return body


@dataclass
class ObjectStore:
    """The server's application, in front of moto's."""

    app: Any
    delay: float = 0.0  #: Seconds added to each request.
    fault: Fault = _no_fault
    edit: Callable[[Environ, bytes], bytes] = _as_it_is  #: Changes a body.
    address: str = ""
    #: Method, path and range of each request, in their order.
    requests: list[tuple[str, str, str]] = field(default_factory=list)

    def reset(self) -> None:
        """As it was when it began, but for what it holds."""
        self.delay, self.fault, self.edit = 0.0, _no_fault, _as_it_is
        self.requests.clear()

    def put(self, path: Path, name: str | None = None) -> str:
        """Copy a file or folder into the bucket, under a name; its URL."""
        import boto3

        client = boto3.client("s3", endpoint_url=self.address)
        client.create_bucket(Bucket="bucket")
        name = name or f"{uuid.uuid4().hex}/{path.name}"
        for file in [path] if path.is_file() else path.rglob("*"):
            if file.is_file():
                inside = file.relative_to(path).as_posix()
                key = name if path.is_file() else f"{name}/{inside}"
                client.put_object(Bucket="bucket", Key=key, Body=file.read_bytes())
        self.requests.clear()
        return f"s3://bucket/{name}"

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.requests.append((method, path, environ.get("HTTP_RANGE") or environ["QUERY_STRING"]))
        time.sleep(self.delay)
        if (answer := self.fault(environ)) is not None:
            status, headers, body = answer
            start_response(status, [*headers, ("Content-Length", str(len(body)))])
            return [body]
        body = b"".join(self.app(environ, start_response))
        return [self.edit(environ, body)]


@contextmanager
def serving(port: int = 0) -> Iterator[ObjectStore]:
    """A store that is served by threads of this process."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Silent(WSGIRequestHandler):
        # Connections stay open, as those of any store.
        protocol_version = "HTTP/1.1"

        def log(self, *_: Any) -> None: ...

    store = ObjectStore(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", port, store, threaded=True, request_handler=Silent)
    store.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        thread.join()


def error(status: str, code: str, message: str) -> tuple[str, list[tuple[str, str]], bytes]:
    """The answer of S3 that reports an error."""
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return status, [("Content-Type", "application/xml")], body.encode()


if __name__ == "__main__":
    with serving(int(sys.argv[1])) as served:
        served.delay = float(sys.argv[2])
        threading.Event().wait()
