"""A backend of Label Studio on a port, for as long as it is wanted."""

import ipaddress
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from filelock import FileLock, Timeout

from duetal.core.errors import DuetalError, UsageError
from duetal.core.url_paths import UrlPath, explained
from duetal.ml_backend.backend_app import LOOPBACK, BackendGuard, make_backend_app
from duetal.ml_backend.backend_service import BackendService
from duetal.ml_backend.predictor import Predictor
from duetal.ml_backend.studio_client import LabelStudio
from duetal.ml_backend.studio_training import StudioTraining
from duetal.ml_backend.task_videos import TaskVideos
from duetal.own_videos.training_rounds import Rounds
from duetal.review.serving import serve_app


@dataclass(frozen=True)
class BackendOptions:
    """How a backend is served; the options of `duetal serve label-studio`."""

    host: str = "127.0.0.1"
    port: int = 0
    user: tuple[str, str] | None = None
    studio: LabelStudio | None = None
    allowed: Sequence[str] = ()
    settings: tuple[str, ...] = ()
    weights: Mapping[str, str] = field(default_factory=dict)
    store: Path | None = None
    floor: float | None = None
    branch: str | None = None
    accelerator: str = "auto"


def serve_backend(
    run: Path,
    videos: Sequence[str],
    out: Path,
    options: BackendOptions,
    say: Callable[[str], object],
) -> None:
    """Serve a run until it is interrupted; `say` takes a line for the log.

    Raises:
        DuetalError: no run or videos there, the port is taken, or another server has the folder.
        UsageError: other machines could ask without a password.
    """
    is_own = _is_loopback(options.host)
    if not is_own and options.user is None:
        cause = f"--host: other machines could ask {options.host} without a password; set "
        raise UsageError(f"{cause}BASIC_AUTH_USER and BASIC_AUTH_PASS in the environment")
    with opened(run, videos, out, options, say) as service:

        def guarded(port: int) -> BackendGuard:
            names = (*LOOPBACK, options.host)
            hosts = frozenset(f"{name}:{port}" for name in names) if is_own else None
            return BackendGuard(make_backend_app(service), hosts=hosts, user=options.user)

        def tell(address: str) -> None:
            say(f"{service.predictor.version} is served: {address}")

        serve_app(guarded, options.port, tell, host=options.host)


@contextmanager
def opened(
    run: Path,
    videos: Sequence[str],
    out: Path,
    options: BackendOptions,
    say: Callable[[str], object],
) -> Iterator[BackendService]:
    """A backend that nobody else serves; raises as `serve_backend`."""
    for place in (run, out, options.store):
        if isinstance(place, UrlPath):
            raise UsageError("must be a local folder", file=str(place))
    # A round that is gone on with may be so from elsewhere.
    run, out = run.absolute(), out.absolute()
    with _alone_in(out):
        worker = DaemonWorker()
        predictor = Predictor(
            run,
            out,
            store=options.store,
            branch=options.branch,
            weights=options.weights,
            accelerator=options.accelerator,
        )
        found = TaskVideos(videos, out / "fetched", options.studio, options.allowed)
        rounds = Rounds(out / "rounds")
        training = StudioTraining(
            run, rounds, predictor, found, worker, options.studio, options.settings, say
        )
        training.resume()
        try:
            yield BackendService(predictor, found, worker, training, options.floor, say=say)
        finally:
            training.close()


@contextmanager
def _alone_in(out: Path) -> Iterator[None]:
    """Hold a folder for the block, so that no other server works in it."""
    with explained("write", out):
        out.mkdir(parents=True, exist_ok=True)
        lock = FileLock(out / ".serve.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            cause = "another duetal serve is at work there; give another --out"
            raise DuetalError(cause, file=out) from None
    try:
        yield
    finally:
        lock.release()


class DaemonWorker(Executor):
    """A thread that does one job after the other, and ends with the program in the midst of one.

    What a job writes is whole or not there, so that nobody has to wait for its end.
    """

    def __init__(self) -> None:
        self._jobs: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        threading.Thread(target=self._work, daemon=True).start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Have a job done after those before it."""
        job: Future[Any] = Future()
        self._jobs.put((job, partial(fn, *args, **kwargs)))
        return job

    def _work(self) -> None:
        while True:
            job, do = self._jobs.get()
            if job.set_running_or_notify_cancel():
                try:
                    job.set_result(do())
                except BaseException as error:
                    job.set_exception(error)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
