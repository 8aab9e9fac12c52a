"""An object store of one's own: a real S3 server, as a process on this machine."""

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

# A Ray cluster that a test starts obeys nobody else. Ray reads this once, when it is imported.
os.environ.update(
    RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32), RAY_USAGE_STATS_ENABLED="0"
)
#: Nobody else's secret; it must turn up nowhere.
SECRET = "se7en-secret-words"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture(scope="session")
def s3_address() -> Iterator[str]:
    """Where the server listens."""
    pytest.importorskip("s3fs")
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **silent) as server:
        try:
            deadline = time.monotonic() + 120
            while True:
                assert server.poll() is None
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    assert time.monotonic() < deadline
                    time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()


@pytest.fixture(scope="module")
def bucket(s3_address: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an empty bucket of this module's, whose access is in the environment."""
    import s3fs

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", s3_address)
        environment.setenv("AWS_ACCESS_KEY_ID", "somebody")
        environment.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        s3fs.S3FileSystem.clear_instance_cache()
        name = request.module.__name__.rpartition(".")[2].replace("_", "-")
        s3fs.S3FileSystem().mkdir(name)
        yield f"s3://{name}"
    s3fs.S3FileSystem.clear_instance_cache()
