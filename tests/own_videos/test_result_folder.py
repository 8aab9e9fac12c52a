"""Names and addresses in a folder of results, and how each video is shown."""

import os
from pathlib import Path
from urllib.parse import unquote_to_bytes

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duetal.extraction.sources import Video
from duetal.own_videos import result_folder
from duetal.own_videos.result_folder import (
    relative_url,
    safe_name,
    show,
)
from duetal.simulation.clips import render_clip
from duetal.video.browser import playback

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("match 1 - final", "match 1 - final"),
        ("a/../b", "a%2F..%2Fb"),
        ('<script>"?"', "%3Cscript%3E%22%3F%22"),
        ("50%", "50%25"),
        ("line\nbreak", "line%0Abreak"),
    ],
)
def test_a_file_s_name_is_safe(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@given(one=NAMES, other=NAMES)
def test_names_that_differ_stay_different(one: str, other: str) -> None:
    assert (safe_name(one) == safe_name(other)) == (one == other)


def test_long_names_are_cut_and_stay_different() -> None:
    one, other = safe_name("ü" * 300), safe_name("ü" * 301)
    assert one != other
    assert len(one.encode()) <= 200


@given(name=NAMES.filter(lambda name: not set(name) & set("/\0") and name not in (".", "..")))
def test_an_address_leads_back_to_the_file(name: str) -> None:
    url = relative_url(f"/videos/{name}", Path("/results/out"))
    assert url.startswith("./../../videos/")
    assert not set(url) & set("\"'<>?#&: \\\n")
    path = os.path.normpath(b"/results/out/" + unquote_to_bytes(url))
    assert path == os.fsencode(f"/videos/{name}")


def test_a_name_that_is_no_text_has_an_address() -> None:
    assert relative_url(os.fsdecode(b"/v/\xff.mp4"), Path("/v")) == "./%FF.mp4"


def test_a_copy_is_made_once_and_anew_for_another_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = render_clip(tmp_path / "a.mkv", duration=0.4, size=(32, 32))
    folder, video = tmp_path / "out", Video("a", str(source))
    written: list[Path] = []
    write = result_folder.write_browser_copy

    def count(source: str, path: Path, **how: object) -> None:
        written.append(path)
        write(source, path, **how)

    monkeypatch.setattr(result_folder, "write_browser_copy", count)
    for fingerprint in ("1", "1", "2"):
        shown = show(folder, video, fingerprint=fingerprint, fps=25)
        assert shown.url == f"./media/a{written[0].suffix}"
        assert shown.failure == ""
    assert len(written) == 2


def test_a_video_of_an_object_store_is_copied(tmp_path: Path) -> None:
    source = render_clip(tmp_path / "a.mp4", duration=0.4, size=(32, 32))
    url = "memory://videos/a.mp4"
    with fsspec.open(url, "wb") as file:
        file.write(source.read_bytes())
    folder = tmp_path / "out"
    shown = show(folder, Video("a", url), fingerprint="1", fps=25)
    assert shown.note == "A copy without sound is shown: it is not on this machine."
    assert playback(tmp_path / "out" / str(shown.url)).hindrance == ""
    assert show(folder, Video("a", url), fingerprint="1", fps=25, copies=False).url is None


def test_a_video_that_cannot_be_copied_is_reported(tmp_path: Path) -> None:
    source = render_clip(tmp_path / "a.mkv", duration=0.4, size=(32, 32))
    folder = tmp_path / "out"
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "media").write_text("in the way")
    shown = show(folder, Video("a", str(source)), fingerprint="1", fps=25)
    assert shown.url is None
    assert shown.note == "The video is not shown."
    assert "cannot write" in shown.failure
