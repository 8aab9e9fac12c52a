"""A review on 127.0.0.1, for as long as it is wanted."""

import secrets
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

import uvicorn
from starlette.types import ASGIApp

from duetal.core.errors import DuetalError
from duetal.own_videos.training_rounds import Rounds
from duetal.review.guard import Guard
from duetal.review.open_review import OpenReview
from duetal.review.retraining import Retraining
from duetal.review.review_app import make_app
from duetal.review.review_service import ReviewService

#: The folder of a review that its rounds of training are in.
ROUNDS = "rounds"


def serve(
    review: OpenReview,
    port: int,
    on_ready: Callable[[str], None],
    *,
    inputs: Sequence[str] = (),
    weights: Sequence[str] = (),
) -> None:
    """Serve a review until it is interrupted. Training that is under way then is stopped.

    Args:
        review: the open review.
        port: on 127.0.0.1; 0 for any that is free.
        on_ready: called with the address, which holds the token.
        inputs: the videos, as the review was given them, to train again.
        weights: options that name weights of backbones, with which a first run is trained.

    Raises:
        DuetalError: the port is taken.
    """
    rounds = Rounds(review.folder / ROUNDS)
    service, token = ReviewService(review), secrets.token_urlsafe(32)
    training = Retraining(service, rounds, inputs, weights)

    def guarded(port: int) -> Guard:
        return Guard(make_app(service, training), port=port, token=token)

    try:
        serve_app(guarded, port, lambda address: on_ready(f"{address}/?token={token}"))
    finally:
        rounds.stop()


def serve_app(
    make: Callable[[int], ASGIApp],
    port: int,
    on_ready: Callable[[str], None],
    host: str = "127.0.0.1",
) -> None:
    """Serve an application until it is interrupted.

    Args:
        make: gives the application, by the port it is served on.
        port: 0 for any that is free.
        on_ready: called with the address.
        host: the address of this machine to listen on.

    Raises:
        DuetalError: the port is taken, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((host, port))
            bound.listen(128)
        except (OSError, OverflowError) as error:
            cause = f"port {port} of {host} cannot be used: {error}; choose another (--port)"
            raise DuetalError(cause) from error
        port = bound.getsockname()[1]
        server = uvicorn.Server(
            uvicorn.Config(
                make(port),
                access_log=False,
                log_level="critical",
                lifespan="off",
                ws="none",
                server_header=False,
                timeout_graceful_shutdown=2,
            )
        )
        on_ready(f"http://{f'[{host}]' if ':' in host else host}:{port}")
        # It shuts down in order, and then passes the signal on: whoever ends us with another one
        # than Ctrl-C wants what follows done as well.
        before = None
        with suppress(ValueError):  # Not the main thread.
            before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            with suppress(KeyboardInterrupt):
                server.run(sockets=[bound])
        finally:
            if before is not None:
                signal.signal(signal.SIGTERM, before)
