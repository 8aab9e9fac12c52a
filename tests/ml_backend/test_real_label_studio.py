"""The whole way with a real Label Studio server, where there is one.

    LABEL_STUDIO=/path/to/venv/bin/label-studio pytest tests/ml_backend/test_real_label_studio.py

A project is made, videos of several frame rates are imported, predictions are asked for, an
annotation is submitted, a run is trained on it and predicts, and the export is converted and
evaluated.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from duetal.core.annotations import Segment
from duetal.formats.activitynet import read_annotations, read_detections
from duetal.simulation.clips import render_clip

requests = pytest.importorskip("requests")

STUDIO = os.environ.get("LABEL_STUDIO") or shutil.which("label-studio")
TOKEN = "0123456789abcdef0123456789abcdef01234567"
USER, PASSWORD = "studio", "a password"
#: Frames per second of the videos; the last is uploaded, and has none in its task.
RATES = {"first": 25.0, "second": 50.0, "third": 12.5, "uploaded": 30.0}
INTERFACE = """<View>
  <Video name="clip" value="$video" frameRate="$fps"/>
  <TimelineLabels name="when" toName="clip">
    <Label value="GolfSwing"/><Label value="HighJump"/>
  </TimelineLabels>
  <Choices name="what" toName="clip" choice="multiple">
    <Choice value="GolfSwing"/><Choice value="HighJump"/>
  </Choices>
</View>"""

pytestmark = [
    pytest.mark.recipe,
    pytest.mark.skipif(
        STUDIO is None, reason="WARNING: no label-studio on PATH; LABEL_STUDIO can name one"
    ),
]


def wait_until(ready: Callable[[], Any], seconds: float = 300) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if found := ready():
                return found
        except requests.RequestException:
            pass
        time.sleep(0.5)
    raise AssertionError(f"not within {seconds} s")


def ended(process: "subprocess.Popen[bytes]", log: Path) -> str:
    assert process.poll() is None, log.read_text()
    return log.read_text()


class Studio:
    """The server's API, as a script of a user would call it."""

    def __init__(self, address: str) -> None:
        self.address = address

    def ask(self, method: str, path: str, **how: Any) -> Any:
        headers = {"Authorization": f"Token {TOKEN}"}
        answer = requests.request(method, self.address + path, headers=headers, timeout=120, **how)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json() if answer.content else None


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media") / "clips"
    for number, (name, fps) in enumerate(RATES.items()):
        actions = [Segment(1.0, 2.4, ("GolfSwing", "HighJump")[number % 2])]
        render_clip(folder / f"{name}.mp4", duration=3.4, fps=fps, actions=actions, seed=number)
    (folder.parent / "elsewhere").mkdir()
    (folder / "uploaded.mp4").rename(folder.parent / "elsewhere" / "uploaded.mp4")
    return folder


@pytest.fixture(scope="module")
def studio(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("studio")
    log = folder / "log.txt"
    environment = {
        **os.environ,
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(clips.parent),
        # The backend is on the same machine.
        "ML_BLOCK_LOCAL_IP": "false",
        "SSRF_PROTECTION_ENABLED": "false",
        "LATEST_VERSION_CHECK": "false",
        "COLLECT_ANALYTICS": "false",
    }
    words = ["start", "--no-browser", "--port", str(port), "--internal-host", "127.0.0.1"]
    words += ["--data-dir", str(folder), "--username", "user@example.org"]
    words += ["--password", "a-password-of-tests", "--user-token", TOKEN]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [str(STUDIO), *words], env=environment, stdout=file, stderr=subprocess.STDOUT
        )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_until(lambda: ended(process, log) and requests.get(f"{address}/health", timeout=5).ok)
        yield Studio(address)
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def backend(
    studio: Studio, clips: Path, video_run: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """The address and the folder of a backend, in a process of its own."""
    out = tmp_path_factory.mktemp("backend") / "out"
    words = ["serve", "label-studio", video_run, clips, "--out", out, "--port", "0"]
    words += ["--label-studio", studio.address, "--accelerator", "cpu", "--set", "accelerator=cpu"]
    words += ["--set", "warmup_epochs=1"]
    access = {"LABEL_STUDIO_API_KEY": TOKEN, "BASIC_AUTH_USER": USER, "BASIC_AUTH_PASS": PASSWORD}
    log = out.with_name("log.txt")
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "duetal", *map(str, words)],
            env={**os.environ, **access},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        found = wait_until(lambda: re.search(r"is served: (http\S+)", ended(process, log)))
        yield found[1], out
    finally:
        process.terminate()
        process.wait(30)
        print(log.read_text())


def test_predict_correct_train_export(
    studio: Studio,
    backend: tuple[str, Path],
    clips: Path,
    video_run: Path,
    tmp_path: Path,
    duetal: Callable[..., tuple[int, str, str]],
) -> None:
    address, out = backend
    # A project, its videos, and the backend.
    project = studio.ask(
        "POST", "/api/projects", json={"title": "duetal", "label_config": INTERFACE}
    )
    number = project["id"]
    storage = {"project": number, "path": str(clips), "use_blob_urls": True}
    studio.ask("POST", "/api/storages/localfiles", json=storage)
    local = [
        {"video": f"/data/local-files/?d=clips/{name}.mp4", "fps": fps}
        for name, fps in RATES.items()
        if name != "uploaded"
    ]
    studio.ask("POST", f"/api/projects/{number}/import", json=local)
    with (clips.parent / "elsewhere" / "uploaded.mp4").open("rb") as file:
        studio.ask("POST", f"/api/projects/{number}/import", files={"file": file})
    connected = {"url": address, "project": number, "title": "duetal"}
    connected |= {"auth_method": "BASIC_AUTH", "basic_auth_user": USER, "basic_auth_pass": PASSWORD}
    model = studio.ask("POST", "/api/ml", json=connected)
    assert model["readable_state"] == "Connected"

    # Predictions are asked for, and are where the actions were found, at the rate of each video.
    predicted = predictions(studio, number)
    assert {*predicted} == {*RATES}
    version = {one["model_version"] for one in predicted.values()}
    assert len(version) == 1
    videos = [clips, clips.parent / "elsewhere" / "uploaded.mp4"]
    code, _, _ = duetal("localize", video_run, *videos, "--out", tmp_path / "found")
    assert code == 0
    known = read_detections(tmp_path / "found" / "detections.json")
    compared = 0
    for name, prediction in predicted.items():
        # Label Studio takes 24 for what its task does not say.
        fps = 24.0 if name == "uploaded" else RATES[name]
        of_video = known.video == known.videos.index(name)
        starts, ends = known.start[of_video], known.end[of_video]
        for region in prediction["result"]:
            if region["type"] == "timelinelabels":
                (span,) = region["value"]["ranges"]
                first, last = (span["start"] - 1) / fps, span["end"] / fps
                assert (abs(starts - first) + abs(ends - last)).min() <= 1.001 / fps
                compared += 1
    assert compared >= len(RATES)

    # An annotation is submitted: a run is trained, and predicts.
    events = ["ANNOTATION_CREATED", "ANNOTATION_UPDATED"]
    hook = {"url": f"{address}/webhook", "project": number, "send_payload": True}
    login = requests.auth._basic_auth_str(USER, PASSWORD)
    hook |= {"send_for_all_actions": False, "actions": events, "headers": {"Authorization": login}}
    made = studio.ask("POST", "/api/webhooks/", json=hook)
    value = {"ranges": [{"start": 51, "end": 120}], "timelinelabels": ["HighJump"]}
    region = {"id": "r", "type": "timelinelabels", "from_name": "when", "to_name": "clip"}
    task = predicted["second"]["task"]
    annotation = {"result": [{**region, "value": value}]}
    studio.ask("POST", f"/api/tasks/{task}/annotations", json=annotation)
    asked = {"auth": (USER, PASSWORD), "timeout": 30}

    def trained(number: int) -> Any:
        health = requests.get(f"{address}/health", **asked).json()
        assert not health["training"]["error"]
        return health if f"round-{number}" in health["model_version"] else None

    health = wait_until(lambda: trained(1))
    assert health["training"]["told"].startswith("1 video: ")
    table = (out / "rounds/1/dataset/labels.csv").read_text()
    assert "second,HighJump,1.0,2.4,present" in table
    again = predictions(studio, number)
    assert {one["model_version"] for one in again.values()} == {health["model_version"]}
    assert health["model_version"] not in version

    # A class is chosen for another video, and training begun by the button.
    studio.ask("DELETE", f"/api/webhooks/{made['id']}/")
    chosen = {"id": "c", "type": "choices", "from_name": "what", "to_name": "clip"}
    weak = {"result": [{**chosen, "value": {"choices": ["HighJump"]}}]}
    studio.ask("POST", f"/api/tasks/{predicted['uploaded']['task']}/annotations", json=weak)
    studio.ask("POST", f"/api/ml/{model['id']}/train", json={})
    wait_until(lambda: trained(2))
    table = (out / "rounds/2/dataset/labels.csv").read_text()
    assert "second,HighJump,1.0,2.4,present" in table
    assert "uploaded,HighJump,,,present" in table

    # What was annotated is exported, converted and evaluated.
    export = studio.ask("GET", f"/api/projects/{number}/export?exportType=JSON")
    (tmp_path / "export.json").write_text(json.dumps(export))
    truth, report = tmp_path / "truth.json", tmp_path / "scores.json"
    code, _, error = duetal(
        *("convert", tmp_path / "export.json", truth, "--as", "annotations"),
        *("--subset", "test", "--tier", "what"),
    )
    assert code == 0, error
    assert read_annotations(truth).videos["second"].segments == (Segment(1.0, 2.4, "HighJump"),)
    run = out / "rounds/2/run"
    code, _, error = duetal("localize", run, clips / "second.mp4", "--out", tmp_path / "new")
    assert code == 0, error
    found = tmp_path / "new" / "detections.json"
    code, _, error = duetal(
        "evaluate", found, "--annotations", truth, "--protocol", "seconds", "--json", report
    )
    assert code == 0, error
    assert "HighJump" in report.read_text()


def predictions(studio: Studio, project: int) -> dict[str, Any]:
    """The last prediction of each task, by the video's name, after asking for it."""
    everything = {"selectedItems": {"all": True, "excluded": []}, "project": project}
    action = f"/api/dm/actions?id=retrieve_tasks_predictions&project={project}"
    studio.ask("POST", action, json=everything)
    tasks = studio.ask("GET", f"/api/tasks?project={project}&fields=all")["tasks"]
    found = {}
    for task in tasks:
        name = re.sub(r"^[0-9a-f]{8}-", "", Path(task["data"]["video"]).stem)
        own = studio.ask("GET", f"/api/predictions?task={task['id']}")
        if own:
            found[name] = max(own, key=lambda one: one["id"])
    return found
