"""A review on 127.0.0.1, for as long as it is wanted."""

import secrets
import socket
from collections.abc import Callable
from contextlib import suppress

import uvicorn

from duetal.core.errors import DuetalError
from duetal.review.guard import Guard
from duetal.review.open_review import OpenReview
from duetal.review.review_app import make_app
from duetal.review.review_service import ReviewService


def serve(review: OpenReview, port: int, on_ready: Callable[[str], None]) -> None:
    """Serve a review until it is interrupted.

    Args:
        review: the open review.
        port: on 127.0.0.1; 0 for any that is free.
        on_ready: called with the address, which holds the token.

    Raises:
        DuetalError: the port is taken.
    """
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind(("127.0.0.1", port))
            bound.listen(128)
        except (OSError, OverflowError) as error:
            cause = f"port {port} of 127.0.0.1 cannot be used: {error}; choose another (--port)"
            raise DuetalError(cause) from error
        port, token = bound.getsockname()[1], secrets.token_urlsafe(32)
        app = Guard(make_app(ReviewService(review)), port=port, token=token)
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                access_log=False,
                log_level="critical",
                lifespan="off",
                ws="none",
                server_header=False,
                timeout_graceful_shutdown=2,
            )
        )
        on_ready(f"http://127.0.0.1:{port}/?token={token}")
        # It shuts down in order, and then passes the signal on.
        with suppress(KeyboardInterrupt):
            server.run(sockets=[bound])
