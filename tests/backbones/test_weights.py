"""Weights by name and by path, and the records of what is known of them."""

import dataclasses
import hashlib
import re
from pathlib import Path

import pytest

from duetal.backbones import weights
from duetal.backbones.i3d import PUBLISHED
from duetal.backbones.protocol import WeightsIdentity
from duetal.backbones.weights import cache_folder, file_digest
from duetal.core.errors import DuetalError, UsageError

CONTENT = b"weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "rgb.pt"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def downloads(monkeypatch, tmp_path):
    """Downloads that need no network: what is requested arrives, and is noted."""
    requested = []

    def arrive(address, digest, target, on_download=None):
        requested.append((address, digest))
        target.parent.mkdir(parents=True)
        target.write_bytes(CONTENT)

    monkeypatch.setattr(weights, "download", arrive)
    monkeypatch.setenv("DUETAL_CACHE", str(tmp_path / "cache"))
    return requested


def locate(source: str) -> tuple[Path, WeightsIdentity]:
    return weights.locate(source, PUBLISHED, "i3d")


@pytest.mark.parametrize("record", PUBLISHED.values(), ids=PUBLISHED)
def test_a_record_is_complete(record):
    assert record.address.startswith("https://")
    assert re.fullmatch("sha256:[0-9a-f]{64}|git:[0-9a-f]{40}", record.digest)
    assert record.licence in ("Apache-2.0", "MIT")


def test_a_local_path_is_hashed(file):
    assert locate(str(file)) == (file, WeightsIdentity(str(file), SHA256, "i3d"))


def test_a_local_path_may_come_with_its_hash(file):
    assert locate(f"{file}@sha256:{SHA256.upper()}")[0] == file
    with pytest.raises(DuetalError, match=f"its sha256 is {SHA256}, and should be 0000") as caught:
        locate(f"{file}@sha256:{'0' * 64}")
    assert caught.value.file == file


@pytest.mark.parametrize("digits", ["", "12ab", "g" * 64, "0" * 65])
def test_what_is_not_a_hash_is_refused(file, digits):
    with pytest.raises(UsageError, match="not a sha256"):
        locate(f"{file}@sha256:{digits}")


@pytest.mark.parametrize("name", ["i3d-rgb", "missing/rgb.pt", "", "."])
def test_the_error_for_an_unknown_name_lists_all_names(name):
    with pytest.raises(UsageError, match=r"no such file, and no weights of that name.*kinetics"):
        locate(name)


def test_a_record_with_a_hash_is_downloaded_by_name(downloads, tmp_path):
    path, identity = locate("i3d-rgb-kinetics")
    record = PUBLISHED["i3d-rgb-kinetics"]
    assert identity == WeightsIdentity(record.name, SHA256, "i3d", "Apache-2.0")
    assert path == tmp_path / "cache" / "weights" / "rgb_imagenet-2609088c2e8c.pt"
    assert downloads == [(record.address, record.digest)]


def test_a_record_may_be_checked_by_the_id_that_git_gives_its_content(downloads, tmp_path):
    path, identity = locate("i3d-flow-kinetics")
    record = PUBLISHED["i3d-flow-kinetics"]
    assert identity == WeightsIdentity(record.name, SHA256, "i3d", "Apache-2.0")
    assert path == tmp_path / "cache" / "weights" / "flow_imagenet-ef0e7c282a10.pt"
    assert downloads == [(record.address, record.digest)]


def test_the_user_may_bring_a_sha256_as_well(downloads):
    _, identity = locate(f"i3d-flow-kinetics@sha256:{SHA256}")
    assert (identity.name, identity.sha256) == ("i3d-flow-kinetics", SHA256)
    assert [digest for _, digest in downloads] == [f"sha256:{SHA256}"]


def test_digests_are_those_of_git_and_sha256sum(tmp_path):
    path = tmp_path / "hello"
    path.write_bytes(b"hello\n")
    assert file_digest(path, "git") == "git:ce013625030ba8dba906f756967f9e9ca394464a"
    assert file_digest(path, "sha256") == "sha256:" + hashlib.sha256(b"hello\n").hexdigest()


def test_another_hash_than_the_recorded_one_is_a_contradiction(downloads):
    with pytest.raises(UsageError, match="is recorded as 2609088c"):
        locate(f"i3d-rgb-kinetics@sha256:{SHA256}")
    assert not downloads


def test_without_a_network_the_error_explains_how_to_do_it_by_hand(monkeypatch, tmp_path):
    monkeypatch.setenv("DUETAL_CACHE", str(tmp_path))
    nowhere = "http://127.0.0.1:9/rgb_imagenet.pt"
    record = dataclasses.replace(PUBLISHED["i3d-rgb-kinetics"], address=nowhere)
    monkeypatch.setattr(weights.time, "sleep", lambda seconds: None)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(DuetalError, match="by hand, and its path given") as caught:
        weights.locate(record.name, {record.name: record}, "i3d")
    assert nowhere in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_cache_is_in_the_home_folder_unless_named(monkeypatch, tmp_path):
    monkeypatch.delenv("DUETAL_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "duetal"
    monkeypatch.setenv("DUETAL_CACHE", "~/elsewhere")
    assert cache_folder() == tmp_path / "elsewhere"


def test_the_documentation_has_every_record():
    page = (Path(__file__).parents[2] / "docs" / "weights.md").read_text(encoding="utf-8")
    rows = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `i3d-")}
    assert rows.keys() == PUBLISHED.keys()
    for name, record in PUBLISHED.items():
        assert f"({record.address})" in rows[name]
        assert record.digest.partition(":")[2] in rows[name]
        assert f"| {record.licence} |" in rows[name]
