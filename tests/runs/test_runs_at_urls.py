"""Training and localizing from an object store give what they give from a local disk."""

import json

import pytest

from _object_store import error
from duetal.core import url_paths


@pytest.mark.recipe
def test_a_run_is_that_of_a_local_disk(
    object_store, tiny_dataset, tiny_run, tiny_settings, duetal, tmp_path
):
    url = object_store.put(tiny_dataset)
    words = ["train", "demo", f"dataset={url}", *tiny_settings, "--out", tmp_path / "run"]
    # Access that ends while it is trained: the run stops in one line, and goes on.
    allowed = 16
    object_store.fault = lambda request: (
        error("403 Forbidden", "ExpiredToken", "The provided token has expired.")
        if len(object_store.requests) > allowed
        else None
    )
    code, _, told = duetal(*words)
    assert code == 1
    assert told.splitlines()[-1].startswith(f"duetal: error: {url}/")
    assert "the credentials have expired" in told
    object_store.fault = lambda request: None
    url_paths._system.cache_clear()
    code, _, told = duetal(*words, "--resume")
    assert code == 0, told
    whole = (tmp_path / "run" / "evaluation.json").read_text()
    assert (
        json.loads(whole)["stages"]
        == json.loads((tiny_run / "evaluation.json").read_text())["stages"]
    )

    found = []
    for place, name in ((url, "remote.json"), (tiny_dataset, "local.json")):
        assert duetal("localize", tmp_path / "run", place, "--out", tmp_path / name)[0] == 0
        found.append(json.loads((tmp_path / name).read_text())["results"])
    assert found[0] == found[1]
    truth = f"{url}/annotations.json"
    scores = ("evaluate", tmp_path / "remote.json", "--annotations", truth, "--protocol", "seconds")
    assert duetal(*scores)[0] == 0
    assert duetal("check", url)[0] == 0
