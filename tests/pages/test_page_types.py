"""The data that Python embeds in pages, against the types that the scripts are checked with."""

import json

import numpy as np
import pytest
from node_tools import faults_of_type

from duetal.core.detections import Detections
from duetal.evaluation.protocols import SECONDS
from duetal.pages import PageEntry, write_contenders, write_report
from duetal.pages.player import PlayedVideo, PlayerPage, embed
from duetal.pages.run_files import read_videos
from duetal.results.folder import RunFolder


def run_page(fake_run, fake_seeds, out):
    write_report(fake_run(videos=2, training=1), out)


def seeds_page(fake_run, fake_seeds, out):
    write_report(fake_seeds(videos=2), out)


def page_of_a_run_just_begun(fake_run, fake_seeds, out):
    folder = fake_run(videos=1)
    for path in folder.rglob("*.*"):
        if path.name != "config.yaml":
            path.unlink()
    write_report(folder, out)


def contenders_page(fake_run, fake_seeds, out):
    folder = fake_run(videos=2, training=1)
    found = read_videos(RunFolder(folder))
    entries = [PageEntry(stage, (found.found[stage],), folder) for stage in ("cbp-f2", "vlp-b2")]
    write_contenders(entries, found.truth, SECONDS, out)


def player_page(fake_run, fake_seeds, out):
    detections = Detections.from_rows([("v", "A", 1.0, 2.0, 0.5)])
    curves = {"cbp": np.ones((4, 1))}
    played = [PlayedVideo("v", 9.0, url, curves=curves) for url in (None, "v.mp4")]
    page = PlayerPage("title", "cbp")
    page.write(out, ["A"], [embed(video, detections) for video in played])


@pytest.mark.parametrize(
    ("write", "kind"),
    [
        (run_page, "RunPage"),
        (seeds_page, "RunPage"),
        (page_of_a_run_just_begun, "RunPage"),
        (contenders_page, "ContendersPage"),
        (player_page, "PlayerPage"),
    ],
)
def test_embedded_data_has_the_declared_type(fake_run, fake_seeds, tmp_path, write, kind):
    write(fake_run, fake_seeds, tmp_path / "page.html")
    html = (tmp_path / "page.html").read_text("utf-8")
    data = json.loads(html.partition('id="data">')[2].partition("</script>")[0])
    assert faults_of_type(data, kind, tmp_path) == ""
