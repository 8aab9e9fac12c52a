"""A review on 127.0.0.1, for as long as it is wanted."""

import secrets
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

import uvicorn

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
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind(("127.0.0.1", port))
            bound.listen(128)
        except (OSError, OverflowError) as error:
            cause = f"port {port} of 127.0.0.1 cannot be used: {error}; choose another (--port)"
            raise DuetalError(cause) from error
        port, token = bound.getsockname()[1], secrets.token_urlsafe(32)
        rounds = Rounds(review.folder / ROUNDS)
        service = ReviewService(review)
        training = Retraining(service, rounds, inputs, weights)
        app = Guard(make_app(service, training), port=port, token=token)
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
        try:
            with suppress(KeyboardInterrupt):
                server.run(sockets=[bound])
        finally:
            rounds.stop()
