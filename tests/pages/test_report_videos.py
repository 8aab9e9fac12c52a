import json

import pytest

from duetal.core.errors import DuetalError
from duetal.pages.run_files import read_videos
from duetal.results.folder import RunFolder


def found(label, start, end, score):
    return {"label": label, "segment": [start, end], "score": score}


def write(folder, *, database=None, detections=None):
    (folder / "detections").mkdir(parents=True)
    if database is not None:
        (folder / "ground_truth.json").write_text(json.dumps({"database": database}))
    for stage, results in (detections or {}).items():
        text = json.dumps({"results": results})
        (folder / "detections" / f"{stage}.json").write_text(text)
    return RunFolder(folder)


def test_truth_and_detections_keep_their_numbers(tmp_path):
    annotations = [{"label": "B", "segment": [0.5, 1]}]
    videos = read_videos(
        write(
            tmp_path,
            database={"v": {"duration": 2.0, "annotations": annotations}, "w": {}},
            detections={"cbp-warmup": {"v": [found("B", 0.123, 1.456, 0.98765)], "x": []}},
        )
    )
    assert (videos.truth.videos["v"].duration, videos.truth.videos["w"].duration) == (2.0, None)
    (segment,) = videos.truth.videos["v"].segments
    assert (segment.start, segment.end, segment.label) == (0.5, 1.0, "B")
    detections = videos.found["cbp-warmup"]
    assert detections.videos == ("v", "x")
    assert (detections.start[0], detections.end[0], detections.score[0]) == (0.123, 1.456, 0.98765)


def test_nothing_there_gives_no_videos(tmp_path):
    videos = read_videos(RunFolder(tmp_path))
    assert (videos.truth, videos.found) == (None, {})


def test_stages_are_in_the_order_of_training(fake_run):
    order = ["cbp-warmup", "vlp-zeroshot", "vlp-b1", "cbp-f1", "vlp-b2", "cbp-f2"]
    assert list(read_videos(RunFolder(fake_run(videos=1)), order).found) == [*order, "ensemble"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"detections": {"s": {"v": [found("A", 2, 1, 0.5)]}}}, ["s.json", "v.0", "before"]),
        ({"detections": {"s": {"v": [found("A", 0, 1, float("nan"))]}}}, ["s.json", "score"]),
        ({"database": {"v": {"annotations": [{"segment": [0, 1]}]}}}, ["ground_truth", "label"]),
    ],
)
def test_a_damaged_file_is_an_error_that_names_file_and_video(tmp_path, change, words):
    with pytest.raises(DuetalError) as caught:
        read_videos(write(tmp_path, **change))
    assert all(word in str(caught.value) for word in words)
