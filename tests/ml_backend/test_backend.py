"""The protocol, spoken to a backend of a tiny run."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from duetal.core.annotations import Segment
from duetal.formats.activitynet import read_detections
from duetal.ml_backend.studio_client import LabelStudio
from duetal.simulation.clips import render_clip

starlette = pytest.importorskip("starlette.testclient", reason="starlette is not installed")

TOKEN = "0123456789abcdef"
INTERFACE = """<View>
  <Video name="clip" value="$video" frameRate="$fps"/>
  <TimelineLabels name="when" toName="clip">
    <Label value="GolfSwing"/><Label value="HighJump"/>
  </TimelineLabels>
  <Choices name="what" toName="clip" choice="multiple">
    <Choice value="GolfSwing"/><Choice value="HighJump"/>
  </Choices>
</View>"""
RATES = {"slow": 12.5, "usual": 25.0, "fast": 50.0}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of each frame rate; not to be written to."""
    folder = tmp_path_factory.mktemp("clips")
    for number, (name, fps) in enumerate(RATES.items()):
        actions = [Segment(1.0, 2.4, "HighJump")]
        render_clip(folder / f"{name}.mp4", duration=3.4, fps=fps, actions=actions, seed=number)
    return folder


@pytest.fixture(scope="module")
def features(clips: Path, video_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `duetal localize` makes of them: `detections.json` and `features/`."""
    from duetal.cli.main import main

    out = tmp_path_factory.mktemp("localized") / "found"
    with pytest.raises(SystemExit) as stop:
        main(["localize", str(video_run), str(clips), "--out", str(out), "--accelerator", "cpu"])
    assert stop.value.code == 0
    return out


@dataclass
class Backend:
    client: Any
    service: Any
    out: Path
    lines: list[str] = field(default_factory=list)

    def predict(self, *tasks: Any, interface: str = INTERFACE) -> Any:
        asked = {"tasks": list(tasks), "label_config": interface, "project": "3.1700000000"}
        answer = self.client.post("/predict", json=asked)
        assert answer.status_code == 200, answer.text
        return answer.json()["results"]

    def wait_for(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            health: dict[str, Any] = self.client.get("/health").json()
            if condition(health):
                return health
            time.sleep(0.02)
        raise AssertionError(f"{health} {self.lines}")


@pytest.fixture
def make_backend(
    video_run: Path, clips: Path, features: Path, tmp_path: Path, studio: Any
) -> Iterator[Callable[..., Backend]]:
    from contextlib import ExitStack

    from duetal.ml_backend.backend_app import make_backend_app
    from duetal.ml_backend.backend_serving import BackendOptions, opened

    store = shutil.copytree(features / "features", tmp_path / "store")
    with ExitStack() as held:

        def make(out: str = "out", run: Path = video_run, **options: Any) -> Backend:
            lines: list[str] = []
            how: dict[str, Any] = {"store": store, "accelerator": "cpu", **options}
            how.setdefault("studio", LabelStudio(studio.address, TOKEN))
            place = tmp_path / out
            given = BackendOptions(**how)
            service = held.enter_context(opened(run, [str(clips)], place, given, lines.append))
            client = starlette.TestClient(make_backend_app(service), raise_server_exceptions=False)
            return Backend(client, service, place, lines)

        yield make


@pytest.fixture
def backend(make_backend: Callable[..., Backend]) -> Backend:
    return make_backend()


def task(name: str, **data: Any) -> dict[str, Any]:
    return {"id": 1, "data": {"video": f"/data/local-files/?d={name}.mp4", **data}}


def test_health_and_setup_name_the_run(backend):
    health = backend.client.get("/health").json()
    assert (health["status"], health["training"]["state"]) == ("UP", "none")
    assert health["model_version"].startswith("run-")
    asked = {"project": "3.1700000000", "schema": INTERFACE, "hostname": "http://attacker"}
    setup = backend.client.post("/setup", json={**asked, "access_token": "x"}).json()
    assert setup == {"model_version": health["model_version"]}
    assert backend.client.get("/versions").json() == {"versions": [health["model_version"]]}


@pytest.mark.parametrize("given", ["own", "25", "24"])
def test_predictions_are_in_frames_of_the_interface(backend, features, given):
    """At each video's own rate where the task has it; else at that of the interface."""
    known = read_detections(features / "detections.json")
    times = {
        (known.videos[v], known.classes[k], round(score, 4)): (start, end)
        for v, k, start, end, score in zip(
            known.video, known.label, known.start, known.end, known.score, strict=True
        )
    }
    rates = RATES if given == "own" else dict.fromkeys(RATES, float(given))
    interface = INTERFACE if given == "own" else INTERFACE.replace("$fps", given)
    if given == "24":
        interface = interface.replace('frameRate="24"', "")
    results = backend.predict(*(task(name, fps=RATES[name]) for name in RATES), interface=interface)
    for (name, fps), predicted in zip(rates.items(), results, strict=True):
        regions = [one for one in predicted["result"] if one["type"] == "timelinelabels"]
        assert regions
        for region in regions:
            assert (region["from_name"], region["to_name"]) == ("when", "clip")
            (span,), (label,) = region["value"]["ranges"], region["value"]["timelinelabels"]
            start, end = times[name, label, round(region["score"], 4)]
            assert span["start"] == max(1, round(start * fps) + 1)
            assert span["end"] == max(span["start"], round(end * fps))
        best = max(one["score"] for one in regions)
        assert min(one["score"] for one in regions) >= best / 2
        (chosen,) = (one for one in predicted["result"] if one["type"] == "choices")
        assert (chosen["from_name"], chosen["to_name"]) == ("what", "clip")
        assert {*chosen["value"]["choices"]} <= {"GolfSwing", "HighJump"}
        ids = [one["id"] for one in predicted["result"]]
        assert len({*ids}) == len(ids)


def test_one_choice_alone_and_a_floor(make_backend):
    backend = make_backend(floor=2.0)
    single = INTERFACE.replace(' choice="multiple"', "")
    (predicted,) = backend.predict(task("usual", fps=25), interface=single)
    (only,) = predicted["result"]
    assert len(only["value"]["choices"]) == 1
    assert predicted["score"] == only["score"]


def test_what_was_found_is_kept(backend, make_backend, monkeypatch):
    before = backend.predict(task("usual", fps=25), task("fast", fps=50))
    assert len(list((backend.out / "found").glob("run-*/*.json"))) == 2
    monkeypatch.setattr("duetal.ml_backend.predictor.localize", None)
    assert backend.predict(task("usual", fps=25), task("fast", fps=50)) == before


@pytest.mark.parametrize(
    ("bad", "line"),
    [
        ({"id": 7, "data": {}}, "task 7: the task has no video: its data has no 'video'"),
        ({"id": 7}, "a task without data"),
        ({"id": 7, "data": [1]}, "a task without data"),
        (7, "a task without data"),
        ({"id": 7, "data": {"video": "gone.mp4"}}, "task 7: gone.mp4: is in none of the folders"),
        ({"id": 7, "data": {"video": "../usual.mp3/x"}}, "task 7"),
        ({"id": 7, "data": {"video": "/data/upload/1/0a1b2c3d-x.mp4"}}, "is not there: removed"),
        ({"id": 7, "data": {"video": "/data/upload/1/0a1b2c3d-bad.mp4"}}, "task 7: "),
        (
            {"id": 7, "data": {"video": "/data/upload/1/0a1b2c3d-fast.mp4"}},
            "has features of another video of this name",
        ),
    ],
)
def test_a_task_that_cannot_be_used_costs_no_other(backend, studio, bad, line):
    for name in ("bad", "fast"):
        studio.put(f"/data/upload/1/0a1b2c3d-{name}.mp4", b"no video", kind="video/mp4")
    nothing, good = backend.predict(bad, task("usual", fps=25))
    assert nothing == []
    assert good["result"]
    (told,) = (told for told in backend.lines if line in told)
    assert "\n" not in told


def test_what_takes_long_is_answered_the_next_time(backend, monkeypatch):
    find = type(backend.service.predictor).find
    calls = []

    def slowly(self: Any, videos: Any) -> Any:
        calls.append(1)
        time.sleep(0.3)
        return find(self, videos)

    monkeypatch.setattr(type(backend.service.predictor), "find", slowly)
    backend.service.patience = 0.01
    assert backend.predict(task("slow", fps=12.5)) == [[]]
    assert backend.predict(task("slow", fps=12.5)) == [[]]
    assert "task 1: is still being worked on; ask again for it" in backend.lines
    backend.service.patience = 30
    assert backend.predict(task("slow", fps=12.5))[0]["result"]
    # Whoever asks again waits for the same job.
    assert len(calls) == 1


NO_VIDEO = INTERFACE.replace("Video", "Audio")


@pytest.mark.parametrize(
    ("path", "asked", "status", "message"),
    [
        ("/setup", {"schema": NO_VIDEO}, 422, "has no <Video> tag"),
        ("/setup", {"schema": "<!DOCTYPE x><View/>"}, 422, "a document type is refused"),
        ("/setup", {}, 400, "no labelling interface"),
        ("/setup", {"schema": 3}, 400, "no labelling interface"),
        ("/predict", {"tasks": 3, "label_config": INTERFACE}, 400, "no list"),
        ("/predict", {"tasks": [], "label_config": NO_VIDEO}, 422, "has no <Video> tag"),
        ("/predict", {"tasks": [1] * 10_001, "label_config": INTERFACE}, 400, "at most 10,000"),
        ("/webhook", {"action": "START_TRAINING"}, 400, "of which project?"),
        ("/webhook", {"action": "START_TRAINING", "project": {"id": "x"}}, 400, "which project"),
        ("/webhook", {"action": "ANNOTATION_CREATED", "project": 3}, 400, "which project"),
        ("/train", {"project": "3.17", "label_config": NO_VIDEO}, 422, "has no <Video> tag"),
        ("/setup", b"{", 400, "a request is JSON"),
        ("/setup", b"[" * 100_000, 400, "a request is JSON"),
        ("/setup", b"[]", 400, "a request is a JSON object"),
        ("/setup", b"\xff", 400, "a request is JSON"),
        ("/nothing", {}, 404, "Not Found"),
        ("/health", {}, 405, "Method Not Allowed"),
    ],
)
def test_a_bad_request_is_answered_in_a_line(backend, path, asked, status, message):
    body = asked if isinstance(asked, bytes) else json.dumps(asked)
    answer = backend.client.post(path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status
    assert message in answer.json()["error"]
    assert "\n" not in answer.json()["error"]


def test_other_events_begin_nothing(backend):
    for action in ("PROJECT_UPDATED", "TASKS_CREATED", None, ["x"]):
        answer = backend.client.post("/webhook", json={"action": action, "project": {"id": 3}})
        assert answer.json() == {"status": "ignored"}
    assert backend.service.training.state()["state"] == "none"


def region(label: str, first: int, last: int) -> dict[str, Any]:
    value = {"ranges": [{"start": first, "end": last}], "timelinelabels": [label]}
    return {"type": "timelinelabels", "from_name": "when", "to_name": "clip", "value": value}


def choice(*labels: str) -> dict[str, Any]:
    value = {"choices": list(labels)}
    return {"type": "choices", "from_name": "what", "to_name": "clip", "value": value}


def annotated(name: str, *results: Any, **data: Any) -> dict[str, Any]:
    other = {"type": "textarea", "from_name": "remark", "to_name": "clip", "value": {"text": ["?"]}}
    done = {"id": 1, "was_cancelled": False, "result": [*results, other]}
    return {**task(name, **data), "annotations": [done], "predictions": []}


PROJECT = {"id": 3, "label_config": INTERFACE}
TASKS = [
    annotated("slow", region("HighJump", 14, 30), choice("GolfSwing"), fps=12.5),
    annotated("usual", region("GolfSwing", 26, 26), fps=25),
    annotated("fast", choice("HighJump"), fps=50),
    annotated("gone", region("HighJump", 1, 2), fps=25),
    annotated("usual", region("HighJump", 1, 2), fps=25),
    {"id": 9, "data": {}, "annotations": 3},
    "x",
]


@pytest.mark.recipe
def test_annotations_train_a_run_that_is_used_then(backend, studio):
    """The whole round: asked for, trained in a process of its own, and taken into use."""
    # A class that the run did not know.
    interface = INTERFACE.replace('<Label value="G', '<Label value="Wave"/><Label value="G')
    waved = annotated(
        "slow", *TASKS[0]["annotations"][0]["result"], region("Wave", 1, 10), fps=12.5
    )
    studio.put_tasks(3, [waved, *TASKS[1:]])
    backend.service.training.settings = ("warmup_epochs=1", "accelerator=cpu")
    before = backend.service.predictor.version
    old = backend.predict(task("usual", fps=25))
    project = {"id": 3, "label_config": interface}
    event = {"action": "ANNOTATION_CREATED", "project": project, "task": {}, "annotation": {}}
    answer = backend.client.post("/webhook", json=event)
    assert (answer.status_code, answer.json()) == (201, {"status": "asked for"})
    health = backend.wait_for(lambda health: health["model_version"] != before)
    assert health["model_version"].startswith("run-round-1-")
    assert health["training"]["told"] == (
        "3 videos: 2 labels, 1 point, 2 segments, 2 denials, 1 looked-through stretch"
    )
    table = (backend.out / "rounds/1/dataset/labels.csv").read_text().splitlines()
    # At 12.5 frames a second; and a moment in the middle of a frame.
    assert {"slow,HighJump,1.04,2.4,present", "slow,Wave,0.0,0.8,present"} <= {*table}
    assert "slow,GolfSwing,,,present" in table
    assert "usual,GolfSwing,1.02,1.02,present" in table
    assert "usual,,,,complete" in table
    assert {"fast,HighJump,,,present", "fast,GolfSwing,,,absent"} <= {*table}
    assert "slow,,,,complete" not in table
    # Its own training videos are learnt from as well.
    assert "t0,GolfSwing,,,present" in table
    told = "\n".join(backend.lines)
    assert "?d=gone.mp4: is not there: removed" in told
    assert "'usual' is listed twice" in told
    # The tasks are kept in a form that is read anywhere, each with its rate.
    kept = backend.out / "rounds/1/tasks.json"
    assert [one["data"]["fps"] for one in json.loads(kept.read_text())][:3] == [12.5, 25, 50]
    new = backend.predict(task("usual", fps=25))
    assert new[0]["model_version"] == health["model_version"]
    assert new != old
    assert backend.service.predictor.run.model.classes == ["GolfSwing", "HighJump", "Wave"]


def fake_training(monkeypatch: pytest.MonkeyPatch, run: Path, ends: list[str]) -> None:
    """Rounds that take no time: each copies a run, or fails with what `ends` says."""
    from duetal.own_videos.training_rounds import Rounds

    def call(self: Any, number: int, words: tuple[str, ...]) -> str:
        assert words[:2] == ("train", "--from")
        end = ends.pop(0)
        if not end:
            shutil.copytree(run, self.run_of(number))
        return end

    monkeypatch.setattr(Rounds, "_call", call)


def test_a_training_that_fails_leaves_the_run_in_use(backend, studio, video_run, monkeypatch):
    studio.put_tasks(3, TASKS)
    fake_training(monkeypatch, video_run, ["the loss is not finite", ""])
    before = backend.service.predictor.version
    start = {"action": "START_TRAINING", "project": PROJECT}
    assert backend.client.post("/webhook", json=start).status_code == 201
    health = backend.wait_for(lambda health: bool(health["training"]["error"]))
    assert health["training"]["error"] == "round 1 failed: the loss is not finite"
    assert health["model_version"] == before
    assert f"round 1 failed: the loss is not finite; {before} stays in use" in backend.lines
    assert backend.client.post("/webhook", json=start).status_code == 201
    health = backend.wait_for(lambda health: "round-2" in health["model_version"])
    assert health["training"]["error"] == ""


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ([], "no annotated task can be used"),
        ([annotated("gone", choice("HighJump"))], "can be used: task 1: http"),
        ({"a": 1}, "exports no list of tasks"),
    ],
)
def test_annotations_that_teach_nothing(backend, studio, tasks, message):
    studio.put_tasks(3, tasks)
    backend.client.post("/webhook", json={"action": "START_TRAINING", "project": PROJECT})
    health = backend.wait_for(lambda health: bool(health["training"]["error"]))
    assert message in health["training"]["error"]
    assert "\n" not in health["training"]["error"]
    # Nothing that it began is in the way of the next.
    assert health["training"]["round"] == 0


@pytest.mark.parametrize(
    ("address", "token", "message"),
    [
        ("http://127.0.0.1:1", TOKEN, "Label Studio cannot be reached"),
        (None, "wrong", "refuses the token in LABEL_STUDIO_API_KEY (401)"),
        (None, TOKEN, "/api/projects/3/export: is not there: removed, or of another version"),
    ],
)
def test_label_studio_is_gone_or_another(make_backend, studio, address, token, message):
    backend = make_backend(studio=LabelStudio(address or studio.address, token))
    before = backend.service.predictor.version
    backend.client.post("/webhook", json={"action": "START_TRAINING", "project": PROJECT})
    health = backend.wait_for(lambda health: bool(health["training"]["error"]))
    assert message in health["training"]["error"]
    assert health["model_version"] == before
    # Videos that are here are looked through all the same.
    assert backend.predict(task("usual", fps=25))[0]["result"]


def test_what_is_asked_for_meanwhile_is_one_more_round(backend, studio, video_run, monkeypatch):
    studio.put_tasks(3, TASKS)
    fake_training(monkeypatch, video_run, ["", "", ""])
    for _ in range(5):
        backend.client.post("/webhook", json={"action": "START_TRAINING", "project": PROJECT})
    backend.wait_for(lambda health: "round-2" in health["model_version"])
    assert len(backend.service.training.rounds.all()) == 2


def test_another_project_needs_its_own(backend):
    asked = {"project": "3.17", "schema": INTERFACE}
    assert backend.client.post("/setup", json=asked).status_code == 200
    other = {"action": "START_TRAINING", "project": {"id": 4, "label_config": INTERFACE}}
    answer = backend.client.post("/webhook", json=other)
    assert answer.status_code == 400
    assert "learns from project 3; project 4 needs its own" in answer.json()["error"]


def test_without_label_studio_nothing_is_trained(make_backend):
    backend = make_backend(studio=None)
    start = {"action": "START_TRAINING", "project": PROJECT}
    answer = backend.client.post("/webhook", json=start)
    assert answer.status_code == 400
    assert "--label-studio" in answer.json()["error"]


def test_a_server_goes_on_where_another_ended(
    make_backend, studio, video_run, monkeypatch, tmp_path
):
    from duetal.core.errors import DuetalError, UsageError

    studio.put_tasks(3, TASKS)
    fake_training(monkeypatch, video_run, ["", ""])
    first = make_backend("a")
    with pytest.raises(DuetalError, match="another duetal serve is at work there"):
        make_backend("a")
    first.client.post("/webhook", json={"action": "START_TRAINING", "project": PROJECT})
    first.wait_for(lambda health: "round-1" in health["model_version"])
    # As a kill leaves it: the second round under way.
    place = shutil.copytree(tmp_path / "a", tmp_path / "b")
    round_ = json.loads((place / "rounds/1/round.json").read_text())
    interrupted = {**round_, "number": 2, "state": "running"}
    (place / "rounds/2").mkdir()
    (place / "rounds/2/round.json").write_text(json.dumps(interrupted))
    second = make_backend("b")
    second.wait_for(lambda health: "round-2" in health["model_version"])
    shutil.copytree(tmp_path / "a", tmp_path / "c")
    with pytest.raises(UsageError, match="its rounds began from"):
        make_backend("c", run=place / "rounds/1/run")
