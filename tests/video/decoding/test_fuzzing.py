"""A short run of the fuzzer, and the faults that it must find."""

import importlib.util
import os
import random
import sys
from pathlib import Path

import pytest

from duetal.simulation.clips import render_clip


@pytest.fixture(scope="module")
def fuzzer():
    path = Path(__file__).with_name("fuzz_decoding.py")
    specification = importlib.util.spec_from_file_location("fuzz_decoding", path)
    module = importlib.util.module_from_spec(specification)
    # So that the worker process, which imports it by name, finds it.
    sys.modules["fuzz_decoding"] = module
    specification.loader.exec_module(module)
    sys.path.insert(0, str(path.parent))
    yield module
    sys.path.remove(str(path.parent))
    del sys.modules["fuzz_decoding"]


def test_damaged_clips_give_frames_or_a_reason(tmp_path, fuzzer):
    clips = [
        render_clip(tmp_path / name, duration=1, size=(64, 48), audio=audio)
        for name, audio in (("a.mp4", True), ("b.mkv", False), ("c.ts", True))
    ]
    (tmp_path / "kept").mkdir()
    findings = fuzzer.fuzz(clips, tmp_path / "kept", seed=0, runs=150)
    assert findings.faults == []
    assert findings.runs == 150
    assert len(findings.outcomes) > 3
    assert list((tmp_path / "kept").iterdir()) == []


def crash(pipe):
    pipe.recv()
    os._exit(3)


def hang(pipe):
    pipe.recv()
    pipe.poll(60)


def leak(pipe):
    kept = []
    while (path := pipe.recv()) is not None:
        kept.append(os.urandom(300_000))
        pipe.send((f"decoded {path.suffix}", sum(map(len, kept))))


@pytest.mark.parametrize(
    ("work", "fault"),
    [(crash, "crash: exit code 3"), (hang, "hang"), (leak, "leak: 293 KiB a run")],
)
def test_the_fuzzer_sees_crashes_hangs_and_leaks(tmp_path, fuzzer, monkeypatch, work, fault):
    monkeypatch.setattr(fuzzer, "START_METHOD", "fork")
    monkeypatch.setattr(fuzzer, "work", work)
    monkeypatch.setattr(fuzzer, "MOST_SECONDS", 2.0)
    monkeypatch.setattr(fuzzer, "FIRST_SECONDS", 2.0)
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"a clip")
    findings = fuzzer.fuzz([clip], tmp_path, seed=0, runs=210 if work is leak else 1)
    assert len(findings.faults) == 1
    assert fault in findings.faults[0]


def test_the_same_seed_damages_alike(fuzzer):
    content = bytes(range(256)) * 40
    found = [[fuzzer.mutate(content, random.Random(f"0 {k}")) for k in range(50)] for _ in range(2)]
    assert found[0] == found[1]
    assert sum(damaged != content for _, damaged in found[0]) > 45
