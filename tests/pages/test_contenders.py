"""Pages of several runs, and of detections without a run."""

import base64
import json

import numpy as np
import pytest
from click.testing import CliRunner

from duetal.cli.main import main
from duetal.cli.report import command
from duetal.core.annotations import Annotations
from duetal.core.errors import UsageError
from duetal.evaluation import evaluate
from duetal.evaluation.protocols import SECONDS
from duetal.pages import PageEntry, write_contenders
from duetal.pages.run_files import read_videos
from duetal.results.folder import RunFolder

HOSTILE = "</script><img src=x onerror=alert(1)>"


@pytest.fixture
def found(explored):
    return read_videos(RunFolder(explored.folder))


def entries(found, *stages):
    return [PageEntry(stage, (found.found[stage],)) for stage in stages]


def data_of(html):
    start = html.index('id="data">') + len('id="data">')
    return json.loads(html[start : html.index("</script>", start)])


def detections_file(explored, stage):
    return explored.folder / "detections" / f"{stage}.json"


def test_the_table_has_the_scores_of_the_evaluation(found, tmp_path):
    out = tmp_path / "page.html"
    stages = ("cbp-f2", "cbp-warmup")
    html = write_contenders(entries(found, *stages), found.truth, SECONDS, out).path.read_text()
    for stage in stages:
        scores = evaluate(found.found[stage], found.truth, SECONDS)
        row = html[html.index(f"</span> {stage}") :].partition("</tr>")[0]
        for value in scores.mean_ap:
            assert f">{100 * value:.1f}<" in row
    assert [lane["title"] for lane in data_of(html)["explorer"]["lanes"]] == list(stages)
    assert "Where cbp-warmup differs most" in html


def test_detections_alone_need_no_comparison(found, tmp_path):
    out = tmp_path / "page.html"
    html = write_contenders(entries(found, "cbp-f2"), found.truth, SECONDS, out).path.read_text()
    assert "AP of each class" in html
    assert "interval" not in html.partition("<main>")[0]


def test_seeds_are_scored_by_their_mean_and_drawn_by_the_first(found, tmp_path):
    seeds = tuple(found.found[stage] for stage in ("cbp-f1", "cbp-f2"))
    out = tmp_path / "page.html"
    html = write_contenders([PageEntry("two", seeds)], found.truth, SECONDS, out).path.read_text()
    scores = [100 * evaluate(each, found.truth, SECONDS).mean_ap[0] for each in seeds]
    assert f"{np.mean(scores):.1f}<span" in html
    assert "(2 seeds)" in html
    assert data_of(html)["explorer"]["lanes"][0]["total"] == len(seeds[0])


def test_more_runs_than_marks_are_refused(found, tmp_path):
    many = entries(found, *["cbp-f2"] * 7)
    with pytest.raises(UsageError, match="7 runs"):
        write_contenders(many, found.truth, SECONDS, tmp_path / "page.html")


def test_hostile_names_are_inert(found, tmp_path):
    out = tmp_path / "page.html"
    hostile = [
        PageEntry(f"{HOSTILE}\u2028", (found.found["cbp-f2"],), rule=HOSTILE),
        PageEntry("\ud800'\"`\n", (found.found["cbp-f1"],)),
    ]
    html = write_contenders(hostile, found.truth, SECONDS, out).path.read_text("utf-8")
    assert "<img" not in html
    assert html.count("</script>") == 2
    assert data_of(html)["explorer"]["lanes"][0]["title"] == f"{HOSTILE}\u2028"


def run(*arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_the_command_makes_a_page_beside_detections(explored, tmp_path):
    copy = tmp_path / "found.json"
    copy.write_bytes(detections_file(explored, "cbp-f1").read_bytes())
    truth = explored.folder / "ground_truth.json"
    result = run(copy, "--annotations", truth, "--protocol", "seconds")
    assert (result.exit_code, result.output) == (0, f"{tmp_path / 'found.html'}\n")
    assert "seconds: any other data" in (tmp_path / "found.html").read_text()


def test_one_run_shows_the_segments_of_its_training_videos_where_they_are_given(explored, tmp_path):
    segment = {"segment": [1, 2], "label": "Diving"}
    database = {"video_validation_0000001": {"subset": "train", "annotations": [segment]}}
    truth = tmp_path / "train.json"
    truth.write_text(json.dumps({"database": database}))
    out = tmp_path / "page.html"
    result = run(explored.folder, "--annotations", truth, "--out", out)
    assert result.exit_code == 0, result.output
    explorer = data_of(out.read_text())["explorer"]
    plain = data_of(explored.page.read_text())["explorer"]
    assert explorer["videos"] == plain["videos"]
    assert len(explorer["truth"]["start"]) > len(plain["truth"]["start"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{run}", "--protocol", "seconds"], "--protocol, --subset and --stage"),
        (["{run}", "--stage", "cbp-f2"], "--protocol, --subset and --stage"),
        (["{found}"], "--annotations"),
        (["{found}", "--annotations", "{truth}"], "--protocol"),
        (["{found}", "--annotations", "{truth}", "--protocol", "no"], "unknown protocol"),
        (["{found}", "{found}", "--annotations", "{truth}", "--protocol", "seconds"], "--out"),
        ([], "sources"),
    ],
)
def test_wrong_usage_is_one_line(explored, capsys, arguments, words):
    places = {
        "run": explored.folder,
        "found": detections_file(explored, "cbp-f1"),
        "truth": explored.folder / "ground_truth.json",
    }
    with pytest.raises(SystemExit) as caught:
        main(["report", *(argument.format(**places) for argument in arguments)])
    error = capsys.readouterr().err
    assert (caught.value.code, error.count("\n")) == (2, 1)
    assert words.lower() in error.lower()


@pytest.mark.real
def test_a_page_of_real_detections_holds_and_judges_all_of_them(real_data, tmp_path):
    data, out = real_data / "thumos14", tmp_path / "page.html"
    words = ["--annotations", data / "gt.json", "--protocol", "thumos14/seconds-210"]
    result = run(data / "detections_train.json", *words, "--out", out)
    assert result.exit_code == 0, result.output
    html = out.read_text()
    assert len(html) < 2_000_000
    (lane,) = data_of(html)["explorer"]["lanes"]
    kinds = np.frombuffer(base64.b64decode(lane["kind"]), np.uint8).reshape(33_895, 4)
    # At tIoU 0.5, as `duetal diagnose` counts them; nothing is left unjudged.
    counts = np.bincount(kinds[:, 2] & 15)
    assert counts.tolist() == [1827, 7878, 212, 10578, 248, 13152]


def test_annotations_without_a_segment_are_refused(found, tmp_path):
    empty = Annotations({}, ())
    with pytest.raises(Exception, match="no segment") as caught:
        write_contenders(entries(found, "cbp-f2"), empty, SECONDS, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists(), caught.value
