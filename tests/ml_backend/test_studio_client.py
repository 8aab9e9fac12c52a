import pytest

from duetal.core.errors import DuetalError, UsageError
from duetal.ml_backend.studio_client import LabelStudio

LEGACY, JWT = "0123456789abcdef", "e30.e30.e30"


@pytest.mark.parametrize(("token", "sent"), [(LEGACY, f"Token {LEGACY}"), (JWT, "Bearer short")])
def test_either_kind_of_token_is_understood(studio, token, sent):
    studio.put_tasks(3, [{"id": 1}])
    client = LabelStudio(f"{studio.address}/", token)
    assert client.version() == "1.23.2"
    assert client.annotated_tasks(3) == [{"id": 1}]
    assert studio.asked[-1] == ("/api/projects/3/export?exportType=JSON", sent)


def test_an_uploaded_video_is_fetched(studio, tmp_path):
    studio.put("/data/upload/1/0a1b2c3d-a%20b.mp4", b"video", kind="video/mp4")
    target = tmp_path / "kept" / "video"
    LabelStudio(studio.address, LEGACY).download("/data/upload/1/0a1b2c3d-a%20b.mp4", target)
    assert target.read_bytes() == b"video"


@pytest.mark.parametrize(
    ("status", "kind", "data", "message"),
    [
        (401, "application/json", b'{"detail": "Invalid token."}', "refuses the token in LABEL_"),
        (403, "text/plain", b"no", "refuses the token in LABEL_STUDIO_API_KEY (403): Forbidden"),
        (404, "text/html", b"", "removed, or of another version of Label Studio"),
        (500, "application/json", b'{"detail": "broken\\nhere"}', "answers 500: broken"),
        (302, "text/html", b"", "answers 302"),
        (200, "text/html", b"<html>", "answers no JSON: another version of Label Studio"),
        (200, "application/json", b"[" * 100_000, "answers no JSON"),
        (200, "application/json", b"{}", "does not say that it is Label Studio"),
        (200, "application/json", b"[]", "does not say that it is Label Studio"),
    ],
)
def test_what_is_no_label_studio_is_told_in_a_line(studio, status, kind, data, message):
    studio.put("/api/version", data, status, kind)
    with pytest.raises(DuetalError) as caught:
        LabelStudio(studio.address, LEGACY).version()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert LEGACY not in str(caught.value)


def test_a_wrong_token_and_one_that_gives_none(studio):
    with pytest.raises(DuetalError, match=r"refuses the token .*\(401\): Invalid token"):
        LabelStudio(studio.address, "wrong").version()
    studio.put("/api/token/refresh", {"other": 1})
    with pytest.raises(DuetalError, match="gives no token"):
        LabelStudio(studio.address, JWT).version()


def test_a_page_is_no_video(studio, tmp_path):
    studio.put("/data/upload/1/a.mp4", b"<html>", kind="text/html; charset=utf-8")
    with pytest.raises(DuetalError, match="answers with a page"):
        LabelStudio(studio.address, LEGACY).download("/data/upload/1/a.mp4", tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("port", [1, 0])
def test_label_studio_is_gone(port):
    with pytest.raises(DuetalError, match="Label Studio cannot be reached: "):
        LabelStudio(f"http://127.0.0.1:{port}", LEGACY).version()


@pytest.mark.parametrize("address", ["", "localhost:8080", "ftp://host", "http://", "file:///x"])
def test_a_bad_address(address):
    with pytest.raises(UsageError, match=r"--label-studio: .* is no address"):
        LabelStudio(address, LEGACY)


@pytest.mark.parametrize("token", ["", " ", "é", "a\nb"])
def test_a_token_that_is_none(token):
    with pytest.raises(UsageError, match="LABEL_STUDIO_API_KEY must hold a token"):
        LabelStudio("http://localhost", token)
