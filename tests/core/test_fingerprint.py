"""The fingerprint of training videos is that of one JSON document, as older runs recorded it."""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from duetal.core.grid import TimeGrid
from duetal.core.weak_videos import WeakVideos


@pytest.mark.parametrize("labels", [np.eye(2, 3), np.ones((1, 1)), np.zeros((0, 2))])
def test_the_fingerprint_is_the_hash_of_one_document(labels):
    names = tuple(f"ü{n}" for n in range(len(labels)))
    classes = tuple("abc"[: labels.shape[1]])
    streams = {"cbp": SimpleNamespace(dim=4, length=lambda name: 7)}
    labels = labels.astype(bool)
    videos = WeakVideos(Path("d"), names, classes, labels, streams, TimeGrid(), None, {})
    shapes = {"cbp": [(7, 4) for _ in names]}
    document = json.dumps([names, classes, labels.astype(int).tolist(), shapes])
    assert videos.fingerprint() == hashlib.sha256(document.encode()).hexdigest()
