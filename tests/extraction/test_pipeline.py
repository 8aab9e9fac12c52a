"""The whole pipeline at small size: what it makes, of what it is independent, how it ends."""

import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from duetal.backbones.clip import CLIP, load_image_encoder
from duetal.backbones.i3d import FLOW, load_i3d
from duetal.core.annotations import Segment, VideoAnnotation
from duetal.core.errors import DuetalError, UsageError
from duetal.core.files import write_json
from duetal.core.grid import TimeGrid
from duetal.core.url_paths import open_filesystem
from duetal.datasets import open_dataset
from duetal.datasets.examination import examine
from duetal.extraction import extract as extract_one
from duetal.extraction.extraction_settings import ExtractionSettings
from duetal.extraction.missing import extract_missing, plan
from duetal.extraction.pipeline import Extractor, usable_cpus
from duetal.extraction.sources import Failure, Video, find_videos
from duetal.extraction.store import open_store
from duetal.features.metadata import VideoRecord
from duetal.simulation.clips import render_clip
from duetal.video.decoding.video_reader import open_video
from duetal.video.flow.interface import FlowName, grey, open_flow, scale_flow

#: Seconds of each clip, and its frame rate.
CLIPS = {"a": (1.4, 25), "b": (0.8, 30), "c": (2.1, 5)}


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    for name, (duration, fps) in CLIPS.items():
        path = folder / f"{name}.mp4"
        render_clip(path, duration=duration, fps=fps, size=(48, 36), velocity=(1.5, 0.5))
    return folder


@pytest.fixture(scope="module")
def settings(tiny_backbones):
    return ExtractionSettings(weights=tiny_backbones, short_side=36, crop=32, dtype="float32")


@pytest.fixture(scope="module")
def extractor(settings):
    return Extractor(settings, device="cpu", batch=3, threads=1)


@pytest.fixture(scope="module")
def store(clips, extractor, tmp_path_factory):
    """All clips, extracted."""
    with open_store(tmp_path_factory.mktemp("store"), extractor.store_settings) as store:
        assert extract_missing(plan(find_videos([str(clips)]), store), store, extractor) == ()
        yield store


def extract(extractor, video, store):
    (outcome,) = extractor.extract_all([video], store)
    return outcome


def arrays(place, name):
    found = {}
    for modality in ("rgb", "flow", "clip"):
        found[modality] = np.load(Path(place) / "features" / modality / f"{name}.npy")
    return found


def test_a_record_has_the_stream_the_offset_and_the_rate(settings, extractor, tmp_path):
    cases = Path(__file__).parents[1] / "cases" / "video"
    with open_store(tmp_path / "store", extractor.store_settings) as store:
        (late, first) = (
            extract(extractor, Video("late", str(cases / "video_begins_2s_late.mp4")), store),
            extract(extractor, Video("a", str(cases / "two_video_tracks.mp4"), stream=0), store),
        )
        assert (late.stream, late.offset, late.rate, late.duration) == (0, 2, 25, 8)
        assert (first.stream, first.source_frames, first.duration) == (0, 10, 1)
        opened = open_dataset(tmp_path / "store")
    assert (opened.offset("late"), opened.duration("late"), opened.offset("a")) == (2, 10, 0)
    labels = {"subset": "training", "duration": 10.0, "annotations": [{"label": "run"}]}
    write_json(tmp_path / "store" / "annotations.json", {"database": {"late": labels}})
    assert not [p for p in examine(tmp_path / "store").problems if "T = " in p.message]
    marked = VideoAnnotation("late", segments=(Segment(3, 5, "run"),))
    assert opened.on_grid(marked).segments == (Segment(1, 3, "run"),)


def test_the_features_are_those_of_the_networks_on_the_grid(clips, settings, store):
    """Step by step, without pipeline, batches or threads, for the second snippet."""
    with open_video(clips / "a.mp4") as reader:
        frames = [(frame.image, frame.full()) for frame in reader.frames(25, settings.short_side)]
    images = np.stack([image for image, _ in frames])
    assert len(images) == 35
    left = (images.shape[2] - 32) // 2
    rgb = torch.tensor(images[None, 16:32, 2:34, left : left + 32])
    motion = scale_flow(open_flow("tvl1")(grey(images[16:33])))[None, :, 2:34, left : left + 32]
    encoder = load_image_encoder(settings.sources["clip"])
    with torch.no_grad():
        expected = {
            "rgb": load_i3d("rgb", settings.sources["rgb"]).encode(rgb.float() / 127.5 - 1),
            "flow": load_i3d("flow", settings.sources["flow"]).encode(torch.tensor(motion)),
            "clip": encoder.encode(encoder.prepare(frames[24][1])[None, None]),
        }
    found = arrays(store.place.name, "a")
    for modality, features in expected.items():
        assert found[modality].shape == (2, features.shape[1])
        np.testing.assert_allclose(found[modality][1], features[0], rtol=1e-3, atol=1e-4)


def test_videos_and_snippets_have_different_features(store):
    a, b = arrays(store.place.name, "a"), arrays(store.place.name, "c")
    for modality in a:
        assert np.abs(a[modality][0] - a[modality][1]).max() > 1e-3
        assert np.abs(a[modality][0] - b[modality][0]).max() > 1e-3


def test_a_record_describes_how_the_features_were_made(clips, store, extractor):
    record = store.record("b")
    assert (record.frames, record.source_frames, record.snippets) == (20, 24, 1)
    assert record.duration == pytest.approx(0.8)
    assert record.source == str(clips / "b.mp4")
    assert record.size == (clips / "b.mp4").stat().st_size
    assert record.widths == {"rgb": 1024, "flow": 1024, "clip": 32}
    assert record.settings == store.settings == extractor.store_settings
    assert {"duetal", "av", "torch", "numpy", "libavcodec"} <= set(record.versions)
    stages = {"read", "decode", "flow", "rgb network", "flow network", "clip network"}
    assert set(record.seconds) == stages
    assert record.settings["grid"] == {"fps": 25.0, "stride": 16, "window": 16}
    assert record.settings["flow_engine"]["engine"] == "tvl1"
    assert record.settings["flow_engine"]["tau"] == 0.25
    assert len(record.settings["clip"]["sha256"]) == 64


def test_the_store_is_a_dataset_with_durations(store):
    dataset = open_dataset(Path(store.place.name))
    assert dataset.evaluation == ("a", "b", "c")
    assert dataset.streams["cbp"].dim == 2048
    assert [dataset.duration(name) for name in "abc"] == pytest.approx([1.4, 0.8, 2.1], abs=0.11)


def test_company_changes_no_bit_of_the_features(clips, store, extractor, tmp_path):
    """As where an extraction is resumed, or done by several machines."""
    with open_store(tmp_path, extractor.store_settings) as other:
        for name in "cba":
            (video,) = find_videos([str(clips / f"{name}.mp4")]).videos
            assert isinstance(extract(extractor, video, other), VideoRecord)
    for name in "abc":
        there = arrays(store.place.name, name)
        for modality, features in arrays(tmp_path, name).items():
            np.testing.assert_array_equal(features, there[modality])


@pytest.mark.parametrize("batch", [1, 7])
def test_neither_batch_nor_company_changes_the_features(
    clips, settings, store, extractor, tmp_path, monkeypatch, batch
):
    """A batch of 7 holds all snippets of all three videos, one of 1 a snippet alone."""
    for network in extractor.networks:
        monkeypatch.setattr(network, "batch", batch)
    videos = find_videos([str(clips / f"{name}.mp4") for name in "cba"]).videos
    with open_store(tmp_path, extractor.store_settings) as other:
        for outcome in extractor.extract_all(videos, other):
            assert isinstance(outcome, VideoRecord)
    for name in "abc":
        there = arrays(store.place.name, name)
        for modality, features in arrays(tmp_path, name).items():
            np.testing.assert_allclose(features, there[modality], rtol=1e-3, atol=1e-4)


def test_threads_do_not_change_the_features(clips, settings, store, tmp_path):
    extractor = Extractor(settings, device="cpu", threads=2)
    video = Video("a", str(clips / "a.mp4"))
    with open_store(tmp_path, extractor.store_settings) as other:
        assert isinstance(extract(extractor, video, other), VideoRecord)
    there = arrays(store.place.name, "a")
    for modality, features in arrays(tmp_path, "a").items():
        np.testing.assert_allclose(features, there[modality], rtol=1e-3, atol=1e-4)


def test_flow_can_be_opencvs_and_modalities_be_left_out(clips, settings, store, tmp_path):
    pytest.importorskip("cv2")
    changed = ExtractionSettings(
        (FLOW,), settings.weights, short_side=36, crop=32, flow=FlowName.OPENCV
    )
    extractor = Extractor(changed, device="cpu", threads=1)
    with open_store(tmp_path, extractor.store_settings) as other:
        extract(extractor, Video("a", str(clips / "a.mp4")), other)
        assert other.is_complete("a")
    flow = np.load(tmp_path / "features" / "flow" / "a.npy")
    assert flow.dtype == np.float16
    ours = arrays(store.place.name, "a")["flow"]
    assert np.abs(flow - ours).mean() < 0.1 * ours.std()
    assert open_dataset(tmp_path).streams["cbp"].dim == 1024


def test_videos_and_store_can_be_in_an_object_store(clips, extractor, store):
    filesystem_url = f"memory://{id(store)}"
    filesystem, path = open_filesystem(filesystem_url)
    filesystem.pipe_file(f"{path}/in/b.mp4", (clips / "b.mp4").read_bytes())
    filesystem.pipe_file(f"{path}/in/bad.mp4", b"no video")
    (good, bad) = find_videos([f"{filesystem_url}/in"]).videos
    with open_store(f"{filesystem_url}/store", extractor.store_settings) as remote:
        record, failure = extractor.extract_all([good, bad], remote)
        assert record.sha256 == store.record("b").sha256
        assert remote.is_complete("b")
        assert isinstance(failure, Failure)
        # The reason names the video, not the copy that was decoded.
        assert failure.reason.startswith(f"{bad.source}: ")


def test_a_full_disk_ends_everything_at_once(clips, extractor, tmp_path, monkeypatch):
    videos = find_videos([str(clips)]).videos
    with open_store(tmp_path, extractor.store_settings) as store:

        def refuse(writer, modality, rows):
            raise DuetalError("cannot write features: No space left on device", file=tmp_path)

        monkeypatch.setattr("duetal.extraction.store.VideoWriter.write", refuse)
        with pytest.raises(DuetalError, match="No space left"):
            list(extractor.extract_all(videos, store))
        assert store.names() == []


def test_an_error_in_a_network_ends_everything_and_names_the_videos(
    clips, extractor, tmp_path, monkeypatch
):
    def fail(pictures):
        raise RuntimeError("a bug")

    monkeypatch.setattr(extractor.networks[2].backbone, "encode", fail)
    with open_store(tmp_path, extractor.store_settings) as store:
        with pytest.raises(RuntimeError, match="a bug") as caught:
            list(extractor.extract_all(find_videos([str(clips)]).videos, store))
        assert "'a'" in caught.value.__notes__[0]


def test_an_interrupt_ends_all_threads(clips, extractor, tmp_path):
    def interrupt(video, done, expected):
        raise KeyboardInterrupt

    with open_store(tmp_path, extractor.store_settings) as store:
        with pytest.raises(KeyboardInterrupt):
            list(extractor.extract_all(find_videos([str(clips)]).videos, store, interrupt))
        assert store.names() == []


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e6])
def test_features_that_are_not_finite_are_a_failure_of_their_video(
    clips, tiny_backbones, tmp_path, monkeypatch, value
):
    settings = ExtractionSettings((CLIP,), tiny_backbones, short_side=36, crop=32)
    extractor = Extractor(settings, device="cpu", threads=1)
    backbone = extractor.networks[0].backbone
    encode = backbone.encode

    def spoil(pictures):
        features = encode(pictures)
        features[features.shape[0] // 2 :, 3] = value
        return features

    monkeypatch.setattr(backbone, "encode", spoil)
    with open_store(tmp_path, extractor.store_settings) as store:
        outcome = extract(extractor, Video("a", str(clips / "a.mp4")), store)
        assert isinstance(outcome, Failure)
        assert "snippet 1: the clip features are not finite in float16" in outcome.reason
        assert not store.is_complete("a")


@pytest.mark.parametrize(
    "change",
    [
        {"crop": 300},
        {"crop": 16},
        {"dtype": "float8"},
        {"backbones": ()},
        {"grid": TimeGrid(window=8, stride=8)},
        {"grid": TimeGrid(stride=17)},
    ],
)
def test_impossible_settings_are_wrong_usage(change):
    with pytest.raises(UsageError):
        ExtractionSettings(**change)


def test_weights_that_were_named_by_a_relative_path_are_found_from_anywhere(
    tiny_backbones, monkeypatch
):
    monkeypatch.chdir(Path(tiny_backbones["clip"]).parent)
    settings = ExtractionSettings((CLIP,), {"clip": "clip"})
    described = Extractor(settings, device="cpu").store_settings
    assert described["clip"]["name"] == str(Path.cwd() / "clip")


def test_relative_weights_are_named_for_workers_that_begin_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rgb.pt").touch()
    mark = f"@sha256:{'0' * 64}"
    settings = ExtractionSettings(weights={"rgb": f"rgb.pt{mark}"})
    found = settings.from_anywhere()
    assert found.sources == settings.sources | {"rgb": f"{tmp_path}/rgb.pt{mark}"}


def test_a_pickled_extractor_gives_bit_for_bit_what_a_store_has(extractor, clips, store, tmp_path):
    """Any engine can map it: nothing is shared but the settings, and each process loads its own."""
    sent = pickle.dumps(extractor)
    assert len(sent) < 10_000
    received = pickle.loads(sent)
    assert "networks" not in vars(received)
    with open_store(tmp_path, extractor.store_settings) as other:
        other.fail(Failure(name="b", source=str(clips / "b.mp4"), reason="was truncated"))
        for name in CLIPS:
            found, record = received(str(clips / f"{name}.mp4"))
            for modality, expected in arrays(store.place.name, name).items():
                assert found[modality].dtype == expected.dtype
                np.testing.assert_array_equal(found[modality], expected)
            timeless = {"seconds": {}, "attempts": 1}
            known = store.record(name)
            assert record.model_copy(update=timeless) == known.model_copy(update=timeless)
            assert other.put(found, record).attempts == 1 + (name == "b")
            assert other.is_complete(name)
        assert list(other.failures()) == []


def test_one_video_can_be_extracted_by_a_function(clips, settings, store):
    found, record = extract_one(str(clips / "a.mp4"), settings, device="cpu", batch=3, threads=1)
    np.testing.assert_array_equal(found["clip"], arrays(store.place.name, "a")["clip"])
    assert record.snippets == len(found["clip"])


@pytest.mark.parametrize(
    ("name", "reason"),
    [("none.mp4", "no such file"), ("text.mp4", "not a video"), ("", "names 2 videos, not one")],
)
def test_what_cannot_be_extracted_raises(extractor, tmp_path, name, reason):
    for text in ("text.mp4", "other.mp4"):
        (tmp_path / text).write_text("no video")
    with pytest.raises(DuetalError, match=reason):
        extractor(str(tmp_path / name))


def test_features_of_other_settings_are_not_put_into_a_store(extractor, clips, tmp_path):
    with open_store(tmp_path, extractor.store_settings | {"dtype": "float16"}) as other:
        with pytest.raises(UsageError, match="dtype is float16 there and float32 here"):
            other.put(*extractor(str(clips / "b.mp4")))
        assert other.names() == []


def test_as_many_threads_as_the_process_may_use(monkeypatch):
    assert 1 <= usable_cpus() <= 4096
