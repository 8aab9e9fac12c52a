from pathlib import Path

import pytest

from duetal.core.errors import DuetalError
from duetal.core.video_names import video_name
from duetal.formats.media import media_place, named_by_file, safe_file_name
from duetal.formats.options import FormatOptions

FILE = Path("tasks.json")


@pytest.mark.parametrize(
    "root", ["", "clips", "/clips/", "https://example.org", "file:///a", "s3://b"]
)
@pytest.mark.parametrize("name", ["jump", "high jump", "50%25", "Äpfel #1?"])
def test_a_video_is_found_again_where_it_is_put(root: str, name: str) -> None:
    assert video_name(media_place(name, FormatOptions(media_root=root), FILE)) == name


@pytest.mark.parametrize("name", ["", "../../x", "a\\b", "a.mp4"])
def test_a_name_that_is_a_path_has_no_place(name: str) -> None:
    with pytest.raises(DuetalError, match=r"tasks.json: video .*can't be that of a media"):
        media_place(name, FormatOptions(), FILE)


@pytest.mark.parametrize(
    "name", ["v", "../x", ".x", "a/b", "a\\b", "%41", "", "Ä", "\ud800", "a\nb"]
)
def test_file_names_are_safe_and_come_back(name: str) -> None:
    file_name = safe_file_name(name, ".vtt")
    assert not set(file_name) & set('/\\:*?"<>|\n')
    assert not file_name.startswith(".")
    assert named_by_file(file_name.removesuffix(".vtt")) == name


def test_a_file_of_somebody_is_called_as_it_is() -> None:
    assert named_by_file("100%41") == "100%41"
    assert named_by_file("a%2fb") == "a%2fb"
