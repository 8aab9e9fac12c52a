"""Backbones of any family through the pipeline: their frames and sound on one grid; ten crops."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from _tiny_models import TINY, make_tiny_model
from duetal.backbones.presets import PRESETS, choose, choose_all
from duetal.core.errors import DuetalError, UsageError
from duetal.core.grid import TimeGrid
from duetal.datasets import open_dataset
from duetal.extraction.extraction_settings import ExtractionSettings
from duetal.extraction.missing import extract_missing, plan
from duetal.extraction.pipeline import Extractor
from duetal.extraction.snippets import crops
from duetal.extraction.sources import find_videos
from duetal.extraction.store import Store, open_store
from duetal.simulation.clips import render_clip
from duetal.video.decoding.video_reader import open_video

RATE = 48_000


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name in TINY:
        make_tiny_model(name, folder / name)
    return folder


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of 57 frames at 25 a second; of 40, with sound; without."""
    folder = tmp_path_factory.mktemp("clips")
    render_clip(folder / "silent.mp4", duration=57 / 25, size=(64, 48), fps=25)
    return folder


def extract(
    store: Path, videos: Path, settings: ExtractionSettings
) -> tuple[Store, tuple[Any, ...]]:
    extractor = Extractor(settings, device="cpu", threads=1)
    with open_store(store, extractor.store_settings) as opened:
        failures = extract_missing(plan(find_videos([str(videos)]), opened), opened, extractor)
    return opened, failures


def settings_of(models: Path, *names: str, **chosen: Any) -> ExtractionSettings:
    records = []
    for name in names:
        branch = "vlp" if PRESETS[name].has_text else "cbp"
        records += choose(str(models / name), branch)
    return ExtractionSettings.usual(records, dtype="float32", **chosen)


SEEING = [name for name in TINY if name not in ("ast", "clap")]


@torch.no_grad()
def test_each_family_reads_its_frames_of_the_window(
    models: Path, clips: Path, tmp_path: Path
) -> None:
    """Evenly spaced for video models, the middle one for images; the odd frames at the end."""
    settings = settings_of(models, *SEEING, window=20, stride=7)
    store, failures = extract(tmp_path / "store", clips, settings)
    assert failures == ()
    with open_video(clips / "silent.mp4") as reader:
        frames = [frame.full() for frame in reader.frames(25.0, 256)]
    length = (len(frames) - 20) // 7 + 1
    assert len(frames) == 57
    for record in settings.backbones:
        found = np.load(tmp_path / "store" / "features" / record.name / "silent.npy")
        assert len(found) == length == 6
        backbone = record.load(record.weights, None)
        assert found.shape[1] == backbone.dim
        count = record.input.frames or 0
        step = 20 // count if count > 1 else 1
        first = (20 - (count - 1) * step) // 2
        for t in (0, 5):
            read = [frames[7 * t + first + k * step] for k in range(count)]
            batch = np.stack([np.asarray(backbone.prepare(picture)) for picture in read])
            expected = backbone.encode(torch.from_numpy(batch)[None].repeat(2, 1, 1, 1, 1))[0]
            np.testing.assert_allclose(found[t], expected, atol=1e-4, rtol=1e-4)
    described = store.settings["vjepa2"]
    assert (described["frames"], described["branch"]) == (8, "cbp")
    assert "flow_engine" not in store.settings
    # What is recorded makes the same features again.
    again = ExtractionSettings.recorded(store.settings, {})
    assert [one.input for one in again.backbones] == [one.input for one in settings.backbones]
    assert again.sources == settings.sources


def test_the_window_is_that_of_the_longest_and_must_hold_each(models: Path) -> None:
    usual = ExtractionSettings.usual(choose_all({"cbp": ["i3d", "vjepa2", "vivit"]}, {}))
    assert usual.grid == TimeGrid(25.0, 16, 64)
    offsets = {record.name: list(record.input.offsets) for record in usual.backbones}
    assert offsets["vjepa2"] == list(range(64))
    assert offsets["vivit"] == list(range(1, 64, 2))
    assert offsets["rgb"] == offsets["flow"] == list(range(24, 40))
    assert offsets["clip"] == [32]
    for chosen, reason in (
        ({"window": 32}, "grid: vjepa2 reads 64 frames, and the window has 32"),
        ({"stride": 65}, "the stride must be from 1 to the window's 64 frames, not 65"),
        ({"crops": 5}, "crops: must be 1 or 10, not 5"),
    ):
        with pytest.raises(UsageError, match=reason):
            ExtractionSettings.usual(choose("vjepa2", "cbp"), **chosen)
    # A sound model says how much it reads when it is loaded.
    with pytest.raises(UsageError, match="a window of 4 s; ast reads 2 s of sound at most"):
        _ = Extractor(settings_of(models, "ast", window=100), device="cpu").networks


def test_a_video_of_fewer_frames_than_the_window_is_told(
    models: Path, clips: Path, tmp_path: Path
) -> None:
    _, failures = extract(tmp_path / "store", clips, settings_of(models, "vivit", window=64))
    assert "too short: 57 frames at 25 a second, one snippet needs 64" in failures[0].reason


def sounding(
    path: Path, samples: np.ndarray, *, seconds: float = 4.0, picture: bool = True
) -> None:
    """Write a video with sound, uncompressed, or the sound alone."""
    with av.open(str(path), "w") as container:
        sound = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        if picture:
            video = container.add_stream("mpeg4", rate=25)
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
            for k in range(round(seconds * 25)):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), k, np.uint8))
                container.mux(video.encode(frame))
            container.mux(video.encode())
        frame = av.AudioFrame.from_ndarray((samples * 32767).astype(np.int16)[None], "s16", "mono")
        frame.rate, frame.pts = RATE, 0
        container.mux(sound.encode(frame))
        container.mux(sound.encode())


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.5, 0.5, 4 * RATE)


@torch.no_grad()
def test_sound_is_read_around_the_middle_of_each_snippet(
    models: Path, tmp_path: Path, noise: np.ndarray
) -> None:
    sounding(tmp_path / "v.mkv", noise)
    settings = settings_of(models, "videomae", "ast", "clap")
    _, failures = extract(tmp_path / "store", tmp_path / "v.mkv", settings)
    assert failures == ()
    backbone = settings.backbones[2].load(str(models / "clap"), None)
    found = np.load(tmp_path / "store/features/clap/v.npy")
    assert len(found) == len(np.load(tmp_path / "store/features/videomae/v.npy")) == 6
    whole = np.pad((noise * 32767).astype(np.int16) / 32768, RATE)
    for t in range(6):
        # Silence before the beginning and after the end.
        begin = round((1 + (16 * t + 8) / 25 - 0.96) * RATE)
        samples = whole[begin : begin + round(1.92 * RATE)].astype(np.float32)
        expected = backbone.encode(backbone.prepare(samples)[None, None].repeat(2, 1, 1, 1, 1))[0]
        np.testing.assert_allclose(found[t], expected, atol=2e-4)
    assert np.abs(found - found.mean(0)).max() > 0.01
    ast = np.load(tmp_path / "store/features/ast/v.npy")
    assert ast.shape == (6, 32)


def test_a_file_without_sound_is_told(models: Path, clips: Path, tmp_path: Path) -> None:
    _, failures = extract(tmp_path / "store", clips, settings_of(models, "videomae", "ast"))
    assert failures[0].reason.endswith("silent.mp4: no sound in it")


def test_sound_without_pictures_is_told_or_enough(
    models: Path, tmp_path: Path, noise: np.ndarray
) -> None:
    sounding(tmp_path / "s.wav", noise, picture=False)
    _, failures = extract(tmp_path / "a", tmp_path / "s.wav", settings_of(models, "vivit", "ast"))
    assert "s.wav: no video in it, only sound" in failures[0].reason
    store, failures = extract(
        tmp_path / "b", tmp_path / "s.wav", settings_of(models, "ast", "clap")
    )
    assert failures == ()
    record = store.record("s")
    assert record is not None
    assert (record.frames, record.snippets, record.duration) == (100, 6, 4.0)
    sounding(tmp_path / "v.mkv", noise)
    extract(tmp_path / "c", tmp_path / "v.mkv", settings_of(models, "ast", "clap"))
    for name in ("ast", "clap"):
        alone, beside = (
            np.load(tmp_path / f"{k}/features/{name}/{v}.npy") for k, v in ("bs", "cv")
        )
        np.testing.assert_allclose(alone, beside, atol=1e-5)


@torch.no_grad()
def test_ten_crops_are_kept_apart_and_their_mean_is_read(
    models: Path, clips: Path, tmp_path: Path
) -> None:
    settings = settings_of(models, "videomae", "clip", crops=10)
    store, failures = extract(tmp_path / "store", clips, settings)
    assert failures == ()
    assert store.settings["crops"] == store.settings["clip"]["crops"] == 10
    assert store.is_complete("silent")
    folder = tmp_path / "store" / "features"
    found = np.load(folder / "videomae" / "silent.npy")
    assert found.shape == (3, 10, 32)
    assert np.load(folder / "clip" / "silent.npy").shape == (3, 10, 24)
    read = open_dataset(tmp_path / "store").streams["cbp"].read("silent")
    np.testing.assert_allclose(read, found.mean(axis=1), atol=1e-6)
    with open_video(clips / "silent.mp4") as reader:
        frames = [frame.full() for frame in reader.frames(25.0, 256)]
    backbone = settings.backbones[0].load(str(models / "videomae"), None)
    frames = [frames[16 + k] for k in settings.backbones[0].input.offsets]
    for crop, view in ((3, np.s_[6:, 22:]), (5, np.s_[:42, 41::-1])):
        batch = np.stack([backbone.prepare(np.ascontiguousarray(one[view])) for one in frames])
        expected = backbone.encode(torch.from_numpy(batch)[None].repeat(2, 1, 1, 1, 1))[0]
        np.testing.assert_allclose(found[1, crop], expected, atol=1e-4)


def test_bfloat16_is_near_and_recorded(models: Path, clips: Path, tmp_path: Path) -> None:
    found = []
    for bf16 in (False, True):
        settings = settings_of(models, "videomae", bf16=bf16)
        store, _ = extract(tmp_path / f"{bf16}", clips, settings)
        found.append(np.load(tmp_path / f"{bf16}" / "features/videomae/silent.npy"))
        assert store.settings.get("bf16", False) == bf16
        assert ExtractionSettings.recorded(store.settings, {}).bf16 == bf16
    assert 1e-5 < np.abs(found[0] - found[1]).max() < 0.1 * np.abs(found[0]).max()


def test_mirrored_flow_moves_the_other_way() -> None:
    flow = np.random.default_rng(0).normal(size=(2, 6, 8, 2)).astype(np.float32)
    found = crops(flow, 4, 10)
    assert found.shape == (2, 10, 4, 4, 2)
    np.testing.assert_array_equal(found[:, 1], flow[:, :4, 4:])
    np.testing.assert_array_equal(found[:, 4], flow[:, 1:5, 2:6])
    np.testing.assert_array_equal(found[:, 9, ..., 0], -flow[:, 1:5, 5:1:-1, 0])
    np.testing.assert_array_equal(found[:, 9, ..., 1], flow[:, 1:5, 5:1:-1, 1])


def test_of_several_backbones_for_a_branch_the_first_is_read_unless_another_is_chosen(
    models: Path, clips: Path, tmp_path: Path
) -> None:
    settings = settings_of(models, "videomae", "vivit", "xclip", "clip")
    extract(tmp_path, clips, settings)
    streams = open_dataset(tmp_path).streams
    assert {name: streams[name].dim for name in streams} == {"cbp": 32, "vlp": 24}
    assert streams["cbp"].path("silent").parent.name == "videomae"
    opened = open_dataset(tmp_path, choice={"cbp": "vivit", "vlp": "clip"})
    assert opened.streams["cbp"].path("silent").parent.name == "vivit"
    assert (opened.streams["vlp"].dim, opened.text_encoder) == (24, str(models / "clip"))
    with pytest.raises(
        DuetalError, match="no vjepa2 features; there are clip, videomae, vivit, xclip"
    ):
        open_dataset(tmp_path, choice={"cbp": "vjepa2"})
