"""Label Studio's protocol of ML backends, over HTTP, and who may speak it.

    GET  /health, /versions
    POST /setup, /predict, /webhook, /train

Every answer is JSON; what is wrong is `{"error": "one line"}`.
"""

import base64
import hmac
import json
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from duetal.core.errors import DuetalError, UsageError
from duetal.ml_backend.backend_service import BackendService
from duetal.ml_backend.studio_training import told
from duetal.review.request_bodies import read_body

#: Bytes of the largest request.
MOST = 2**26
#: Names of this machine, to itself and to containers on it.
LOOPBACK = ("127.0.0.1", "localhost", "host.docker.internal")


class BackendGuard:
    """An application that answers those alone who may ask.

    Any page in any browser can send requests to this machine, and can make a name of its own lead
    here (DNS rebinding). Label Studio's server sends no `Origin`, and names the host it was given.

    Args:
        app: what is asked for.
        hosts: the names under which it may be asked, with the port; None for any.
        user: the user and the password that are wanted; None for none.
    """

    def __init__(
        self, app: ASGIApp, *, hosts: frozenset[str] | None, user: tuple[str, str] | None
    ) -> None:
        self.app, self.hosts = app, hosts
        self._wanted = None if user is None else base64.b64encode(":".join(user).encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http":
            await (self._refusal(Headers(scope=scope)) or self.app)(scope, receive, send)

    def _refusal(self, headers: Headers) -> Response | None:
        if self.hosts is not None and headers.get("host", "") not in self.hosts:
            return _error("this host is not of this backend", 421)
        if "origin" in headers:
            return _error("not for pages of a browser", 403)
        if self._wanted is not None:
            kind, _, given = headers.get("authorization", "").partition(" ")
            same = hmac.compare_digest(given.strip().encode(), self._wanted)
            if kind.lower() != "basic" or not same:
                refusal = _error("the user or the password is missing or wrong", 401)
                refusal.headers["WWW-Authenticate"] = "Basic"
                return refusal
        return None


def make_backend_app(service: BackendService) -> Starlette:
    """The application of a backend, without the checks of who asks."""

    def answering(
        answer: Callable[[dict[str, Any]], dict[str, Any]], status: int = 200
    ) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            asked = await _asked(request)
            return JSONResponse(await run_in_threadpool(answer, asked), status)

        return endpoint

    async def health(request: Request) -> Response:
        return JSONResponse(service.health())

    async def versions(request: Request) -> Response:
        return JSONResponse({"versions": [service.predictor.version]})

    def train(asked: dict[str, Any]) -> dict[str, Any]:
        # As older versions of Label Studio ask for it.
        about = {"id": asked.get("project"), "label_config": asked.get("label_config")}
        return service.webhook({"action": "START_TRAINING", "project": about})

    def explain(request: Request, error: Exception) -> Response:
        service.say(f"{request.url.path}: {told(error)}")
        status = 400 if isinstance(error, UsageError) else 422
        return _error(told(error), status if isinstance(error, DuetalError) else 500)

    def refuse(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _error(error.detail, error.status_code)

    return Starlette(
        routes=[
            Route("/", health),
            Route("/health", health),
            Route("/versions", versions),
            Route("/setup", answering(service.setup), methods=["POST"]),
            Route("/predict", answering(service.predict), methods=["POST"]),
            Route("/webhook", answering(service.webhook, 201), methods=["POST"]),
            Route("/train", answering(train, 201), methods=["POST"]),
        ],
        exception_handlers={HTTPException: refuse, DuetalError: explain, Exception: explain},
    )


async def _asked(request: Request) -> dict[str, Any]:
    """The JSON object of a request; HTTPException where it has none, or is too large."""
    # A form of another site can send text alone.
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise HTTPException(415, "a request is JSON")
    body = await read_body(request, MOST)
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "a request is JSON") from error
    if not isinstance(value, dict):
        raise HTTPException(400, "a request is a JSON object")
    return value


def _error(cause: str, status: int) -> Response:
    # What is told may hold half a character.
    return JSONResponse({"error": cause.encode("utf-8", "backslashreplace").decode()}, status)
