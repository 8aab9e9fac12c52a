"""What the page of a review asks for, over HTTP: the state, actions, videos, pictures, files."""

import asyncio
import io
import json
import math
import mimetypes
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from duetal.core.errors import DuetalError, UsageError, machine_fault
from duetal.formats.forms import FORMS, Format
from duetal.formats.options import FormatOptions
from duetal.pages.html import render
from duetal.review.corrections import Entry
from duetal.review.open_review import OpenReview
from duetal.review.request_bodies import read_body
from duetal.review.retraining import Retraining
from duetal.review.review_service import TABLE, ReviewService
from duetal.review.statements import StaleError
from duetal.video.browser import CONTAINERS

#: Bytes of the largest action and of the largest file that is taken in.
MOST_OF_ACTION, MOST_OF_IMPORT = 2**22, 2**26
#: Of what is downloaded, where it is not JSON.
_SUFFIXES = {TABLE: ".csv", "csv": ".csv", "strong": ".tsv", "weak": ".tsv", "boris": ".boris"}
STYLES = ("style.css", "player.css", "review.css")


def make_app(service: ReviewService, training: Retraining) -> Starlette:
    """The application of a review, without the checks of who asks (`duetal.review.guard`)."""

    async def index(request: Request) -> Response:
        return HTMLResponse(_page(service.review))

    async def state(request: Request) -> Response:
        since = int(request.query_params.get("since") or -1)
        return _json(service.whole() if since < 0 else service.news(since))

    async def act(request: Request) -> Response:
        asked = await _asked(request)
        do: Callable[[], Entry | None]
        if asked.get("undo") is not None or asked.get("redo") is not None:
            move = service.corrections.undo if asked.get("undo") else service.corrections.redo
            number = int(asked.get("undo") or asked.get("redo") or 0)
            do = lambda: move(number)  # noqa: E731
        else:
            video, version = asked.get("video"), int(asked.get("version") or 0)
            do = lambda: service.act(video, version, asked.get("action") or {})  # noqa: E731
        return await _answered(service, int(asked.get("last") or 0), do)

    async def take_in(request: Request) -> Response:
        name = Path(request.query_params.get("name", "")).name or "file"
        data = await read_body(request, MOST_OF_IMPORT)
        options = _options(request)

        def do() -> Entry | None:
            with TemporaryDirectory(prefix="duetal-") as folder:
                # Of the name the suffix alone is used.
                path = Path(folder) / f"import{Path(name).suffix[:9]}"
                path.write_bytes(data)
                try:
                    return service.take_in(path, options, name)
                except DuetalError as error:
                    place = f"{name}: {error.place}" if error.place else name
                    raise UsageError(error.cause, place=place) from error

        return await _answered(service, int(request.query_params.get("last") or 0), do)

    async def save_as(request: Request) -> Response:
        form = request.path_params["form"]
        if form != TABLE and (form not in [*Format] or FORMS[form].write_annotations is None):
            raise HTTPException(404, "no such form")
        return await run_in_threadpool(_download, service, form, _options(request))

    async def scores(request: Request) -> Response:
        name = service.name_of(request.path_params["video"])
        return _json(await run_in_threadpool(service.corrections.scores, name))

    async def rounds(request: Request) -> Response:
        return _json(await run_in_threadpool(training.state))

    async def train(request: Request) -> Response:
        asked = await _asked(request)
        if "show" in asked:
            number = int(asked["show"])
            show: Callable[[], Entry | None] = lambda: training.show(number)  # noqa: E731
            return await _answered(service, int(asked.get("last") or 0), show)
        wanted = str(asked.get("do"))
        if wanted not in (does := training.actions()):
            raise HTTPException(400, "no such thing to do with training")
        await asyncio.shield(run_in_threadpool(does[wanted]))
        return await rounds(request)

    async def what_next(request: Request) -> Response:
        return _json(await run_in_threadpool(service.what_next))

    async def media(request: Request) -> Response:
        path, status = service.file_of(request.path_params["video"])
        return FileResponse(path, stat_result=status, media_type=_media_type(path))

    async def stills(request: Request) -> Response:
        path = await run_in_threadpool(service.stills, request.path_params["video"])
        # The page asks for them again and again, by an address of this opening of the review.
        return FileResponse(path, headers={"Cache-Control": "private, max-age=3600"})

    app = Starlette(
        routes=[
            Route("/", index),
            Route("/state", state),
            Route("/act", act, methods=["POST"]),
            Route("/import", take_in, methods=["POST"]),
            Route("/export/{form}", save_as),
            Route("/rounds", rounds),
            Route("/train", train, methods=["POST"]),
            Route("/next", what_next),
            Route("/videos/{video:int}/scores", scores),
            Route("/videos/{video:int}/media", media),
            Route("/videos/{video:int}/stills", stills),
        ],
        exception_handlers={
            HTTPException: _explain_refusal,
            DuetalError: _explain,
            Exception: _explain,
        },
    )
    app.state.service = service
    return app


def _media_type(path: Path) -> str:
    """The type of a video or sound, whatever a file's name says: never that of a page."""
    if (kind := CONTAINERS.get(path.suffix.lower())) is not None:
        return f"video/{kind}"
    named = mimetypes.guess_type(path.name)[0] or ""
    return named if named.startswith(("audio/", "video/")) else "application/octet-stream"


def _page(review: OpenReview) -> str:
    """The page, which asks for everything else."""
    branches = review.about.branches
    return render(
        "review.html.j2",
        {},
        styles=STYLES,
        script="review_page.js",
        media="'self'",
        is_served=True,
        title=review.folder.absolute().name,
        branches=branches,
        forms=[(TABLE, "table, to train on")]
        + [(form.value, form.value) for form in Format if FORMS[form].write_annotations],
    )


async def _answered(service: ReviewService, since: int, do: Callable[[], Entry | None]) -> Response:
    """What has changed once something was done; with an error, what another window has changed."""

    def answer() -> Response:
        try:
            entry = do()
        except StaleError as error:
            return _json({"error": error.cause, **service.news(since)}, 409)
        about = {} if entry is None else {"title": entry.title, "videos": _about(service, entry)}
        return _json({**about, **service.news(since)})

    # Not cancelled where the browser is closed meanwhile.
    return await asyncio.shield(run_in_threadpool(answer))


def _about(service: ReviewService, entry: Entry) -> list[int]:
    """The videos that an entry is about."""
    changed = {change.video for change in entry.changes}
    return [index for index, name in enumerate(service.names) if name in changed]


def _download(service: ReviewService, form: str, options: FormatOptions) -> Response:
    """A form as a file, or packed where it is several; what is lost is in a header."""
    name = f"{service.review.folder.absolute().name}-{form}"
    is_folder = form != TABLE and bool(FORMS[Format(form)].folder)
    with TemporaryDirectory(prefix="duetal-") as folder:
        target = Path(folder) / f"review{'' if is_folder else _SUFFIXES.get(form, '.json')}"
        lost = service.save(target, form, options)
        files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        if len(files) == 1 and not is_folder:
            data, ending = files[0].read_bytes(), files[0].suffix
        else:
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
                for path in files:
                    archive.write(path, path.relative_to(folder))
            data, ending = packed.getvalue(), ".zip"
    headers = {"X-Duetal-Name": json.dumps(name + ending), "X-Duetal-Notes": json.dumps(lost)}
    return Response(data, media_type="application/octet-stream", headers=headers)


def _options(request: Request) -> FormatOptions:
    """What some forms need to know, of the request's query."""
    fps = request.query_params.get("fps")
    try:
        rate = None if not fps else float(fps)
    except ValueError:
        rate = math.nan
    if rate is not None and not 0 < rate < 1e6:
        raise UsageError("frames per second are a positive number")
    return FormatOptions(fps=rate)


async def _asked(request: Request) -> dict[str, Any]:
    """The JSON object of a request; UsageError where it has none."""
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise HTTPException(415, "an action is JSON")
    try:
        value = json.loads(await read_body(request, MOST_OF_ACTION))
    except (ValueError, RecursionError) as error:
        raise UsageError("an action is JSON") from error
    if not isinstance(value, dict):
        raise UsageError("an action is a JSON object")
    return value


def _json(value: Any, status: int = 200) -> Response:
    # Names may hold half a character, which has no bytes in UTF-8 but an escape in JSON.
    content = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Response(content, status, media_type="application/json")


def _explain_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _json({"error": error.detail}, error.status_code)


def _explain(request: Request, error: Exception) -> Response:
    """An error as one line; the status says whose it is."""
    if isinstance(error, DuetalError):
        status = 422 if isinstance(error, UsageError) else 507 if "disk" in error.cause else 500
        parts: Sequence[str] = [str(p) for p in (error.place, error.cause) if p]
        return _json({"error": ": ".join(parts)}, status)
    if isinstance(error, ValueError | TypeError):
        return _json({"error": "is no request that this page makes"}, 422)
    return _json({"error": machine_fault(error) or f"internal error: {error}"}, 500)
