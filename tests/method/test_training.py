"""Training: who trains when, who teaches whom, and what cannot reach a weight."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch.nn import functional as F

from duetal.backbones.class_embeddings import load_text
from duetal.backbones.text_towers import load_text_tower
from duetal.config import Config
from duetal.core.errors import DuetalError
from duetal.core.known_times import LabelUse
from duetal.core.weak_videos import WeakVideos
from duetal.datasets import open_dataset
from duetal.method import loop, schedule
from duetal.method.branches import BRANCHES
from duetal.method.cbp import CBPCommittee
from duetal.method.layers import BranchNetwork
from duetal.method.pseudo_labels import PseudoLabels, make_pseudo_labels
from duetal.method.schedule import Phase, ScheduleSettings
from duetal.method.text import PromptedTextEncoder
from duetal.results.checkpoints import load, load_into
from duetal.results.kept_labels import all_classes
from duetal.runs.journal import Journal
from duetal.runs.recorder import Recorder

Train = Callable[[Config, WeakVideos, Path], list[str]]
MakeConfig = Callable[..., Config]
BOTH = ("cbp", "vlp")


def checkpoint(folder: Path, stage: str) -> Path:
    return folder / "checkpoints" / f"{stage}.safetensors"


def restore(config: Config, folder: Path, stage: str, videos: WeakVideos) -> BranchNetwork:
    """The network of a stage, as a run restores it."""
    branch = next(branch for branch in BRANCHES if stage.startswith(branch.name))
    network = branch.for_inference(config, videos.streams[branch.name].dim, len(videos.classes))
    path = checkpoint(folder, stage)
    load_into(network, load(path).tensors, path)
    return network.eval()


# --- who trains when ----------------------------------------------------------------------------


def test_the_schedule_is_the_papers() -> None:
    """Warm-up, then B step and F step in turn: what each trains, on what, and for how long."""
    settings = ScheduleSettings(alternations=2, warmup_epochs=10, b_epochs=20, f_epochs=30)

    def facts(phase: Phase) -> tuple[object, ...]:
        return phase.name, phase.stage, phase.student, phase.teacher, phase.epochs, phase.distils

    both = ("foreground", "background")
    assert list(map(facts, schedule.schedule(settings, BOTH))) == [
        ("warmup", "cbp-warmup", "cbp", None, 10, ()),
        ("zeroshot", "vlp-zeroshot", "vlp", None, 0, ()),
        ("B1", "vlp-b1", "vlp", "cbp", 20, both),
        ("F1", "cbp-f1", "cbp", "vlp", 30, both),
        ("B2", "vlp-b2", "vlp", "cbp", 20, both),
        ("F2", "cbp-f2", "cbp", "vlp", 30, both),
    ]
    strict = ScheduleSettings(foreground_only=True, background_only=True)
    *_, b_step, f_step = schedule.schedule(strict, BOTH)
    assert (b_step.distils, f_step.distils) == (("background",), ("foreground",))
    # One stream: as many updates of CBP, with nobody to teach it.
    [alone] = schedule.schedule(settings, ["cbp"])
    assert (alone.stage, alone.epochs, alone.teacher) == ("cbp-warmup", 70, None)


@pytest.mark.parametrize("alternations", [0, 1, 2])
def test_stages_and_steps(
    monkeypatch: pytest.MonkeyPatch,
    make_config: MakeConfig,
    videos: WeakVideos,
    train: Train,
    tmp_path: Path,
    alternations: int,
) -> None:
    steps = 0
    step = Journal.step

    def count(self: Journal, *arguments: Any) -> None:
        nonlocal steps
        steps += 1
        step(self, *arguments)

    monkeypatch.setattr(Journal, "step", count)
    config = make_config(alternations=alternations, repeats_per_epoch=2, b_epochs=1)
    stages = train(config, videos, tmp_path)
    expected = ["cbp-warmup", "vlp-zeroshot"]
    for turn in range(1, alternations + 1):
        expected += [f"vlp-b{turn}", f"cbp-f{turn}"]
    assert stages == expected
    assert all(load(checkpoint(tmp_path, stage)).record["stage"] == stage for stage in stages)
    # 20 crops are 5 batches.
    assert steps == 5 * (2 + 3 * alternations)
    # What was left when each epoch ended counts down to nothing.
    lines = (tmp_path / "log.txt").read_text().splitlines()
    assert lines[-1].endswith("left 0:00:00")


def test_one_stream_trains_cbp_alone(
    make_config: MakeConfig, one_stream: WeakVideos, train: Train, tmp_path: Path
) -> None:
    assert train(make_config(alternations=3), one_stream, tmp_path) == ["cbp-warmup"]
    events = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [e["epoch"] for e in events if e["event"] == "epoch"] == list(range(1, 9))
    assert {e["branch"] for e in events if e["event"] == "epoch"} == {"cbp"}


# --- who teaches whom ---------------------------------------------------------------------------


def test_each_step_is_taught_by_the_other_branch_as_it_is_then(
    monkeypatch: pytest.MonkeyPatch,
    make_config: MakeConfig,
    videos: WeakVideos,
    train: Train,
    tmp_path: Path,
) -> None:
    """Pseudo-labels are those of the latest teacher, frozen in eval mode; it stays as it was."""
    given: dict[str, PseudoLabels] = {}
    students: dict[str, BranchNetwork] = {}
    teachers: dict[str, dict[str, torch.Tensor]] = {}
    on_pseudo_labels, on_phase_end = Recorder.on_pseudo_labels, Recorder.on_phase_end

    def look_at_labels(self: Recorder, phase: Phase, pseudo: PseudoLabels) -> None:
        given[phase.name] = pseudo
        assert phase.teacher is not None
        teacher = students[phase.teacher]
        teachers[phase.name] = {k: v.clone() for k, v in teacher.state_dict().items()}
        on_pseudo_labels(self, phase, pseudo)

    def look_at_students(self: Recorder, phase: Phase, student: BranchNetwork) -> None:
        if phase.teacher is not None:
            state = students[phase.teacher].state_dict()
            assert all(torch.equal(state[k], v) for k, v in teachers[phase.name].items())
        students[phase.student] = student
        on_phase_end(self, phase, student)

    monkeypatch.setattr(Recorder, "on_pseudo_labels", look_at_labels)
    monkeypatch.setattr(Recorder, "on_phase_end", look_at_students)
    config = make_config(alternations=2, dropout=0.5)
    train(config, videos, tmp_path)

    stages = {"B1": "cbp-warmup", "F1": "vlp-b1", "B2": "cbp-f1", "F2": "vlp-b2"}
    assert given.keys() == stages.keys()
    for phase, stage in stages.items():
        expected = make_pseudo_labels(
            restore(config, tmp_path, stage, videos),
            videos,
            videos.streams[stage[:3]],
            config.losses,
            window=config.data.crop,
        )
        kept = load(tmp_path / "pseudo_labels" / f"{phase}.safetensors")
        for row, name in enumerate(videos.names):
            assert len(given[phase][row]) == videos.length(name)
            np.testing.assert_array_equal(given[phase][row], expected[row])
            found = all_classes(kept.tensors[name].numpy(), name, kept.record)
            np.testing.assert_array_equal(found, expected[row])


def test_the_untrained_vlp_stage_is_zero_shot_clip(
    make_config: MakeConfig, videos: WeakVideos, train: Train, tmp_path: Path
) -> None:
    config = make_config(alternations=0)
    train(config, videos, tmp_path)
    stream = videos.streams["vlp"]
    assert videos.text_encoder is not None
    branch = restore(config, tmp_path, "vlp-zeroshot", videos)
    text = PromptedTextEncoder(
        load_text_tower(videos.text_encoder, videos.classes, prompts_before=0, prompts_after=0)
    )
    cosines = [
        F.normalize(torch.from_numpy(stream.read(name)), dim=-1)
        @ F.normalize(text.plain(), dim=-1).T
        for name in videos.names
    ]
    # Half of what CLIP sees over all training videos lies below "even", half above.
    mean = torch.cat(cosines).double().mean().item()
    assert branch.bias.item() == pytest.approx(mean, abs=1e-6)
    for name, expected in zip(videos.names, cosines, strict=True):
        features = torch.from_numpy(stream.read(name))[None]
        with torch.no_grad():
            logits, _ = branch(features, torch.ones(features.shape[:2], dtype=torch.bool))
        torch.testing.assert_close(logits[0], (expected - mean) / 0.07, atol=1e-5, rtol=0)


def test_checkpoints_hold_prompts_and_no_text_encoder(
    make_config: MakeConfig, videos: WeakVideos, train: Train, tmp_path: Path
) -> None:
    train(make_config(), videos, tmp_path)
    for path in (tmp_path / "checkpoints").iterdir():
        names = load(path).tensors
        assert not any("text.model" in name for name in names), path.name
        assert ("text.prompts" in names) == path.name.startswith("vlp"), path.name


def test_features_are_standardised_with_the_training_videos(
    make_config: MakeConfig, one_stream: WeakVideos, train: Train, tmp_path: Path
) -> None:
    train(make_config(feature_normalization=True), one_stream, tmp_path)
    every = np.concatenate([one_stream.streams["cbp"].read(name) for name in one_stream.names])
    tensors = load(checkpoint(tmp_path, "cbp-warmup")).tensors
    np.testing.assert_allclose(tensors["mean"], every.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(tensors["std"], every.std(axis=0), rtol=1e-4)


# --- what reaches a weight ----------------------------------------------------------------------


def test_segments_of_training_videos_cannot_influence_a_weight(
    make_config: MakeConfig,
    dataset_folder: Path,
    train: Train,
    tmp_path: Path,
    assert_same_run: Callable[[Path, Path], None],
) -> None:
    """Two datasets that differ in nothing but when things happen give the same run, bit for bit."""
    folders = {name: tmp_path / name for name in ("true", "moved", "gone")}
    for name, folder in folders.items():
        shutil.copytree(dataset_folder, folder)
        document = json.loads((folder / "annotations.json").read_text())
        for video in document["database"].values():
            if video["subset"] != "train":
                continue
            for annotation in video["annotations"]:
                if name == "moved":
                    annotation["segment"] = [0.1, 0.2 + 0.1 * len(annotation["label"])]
                if name == "gone":
                    del annotation["segment"]
        (folder / "annotations.json").write_text(json.dumps(document))
    texts = {(folder / "annotations.json").read_text() for folder in folders.values()}
    assert len(texts) == 3
    for name, folder in folders.items():
        videos = replace(
            open_dataset(folder).weak(), text_encoder=str(dataset_folder / "text_encoder")
        )
        train(make_config(contrastive_weight=0.1), videos, tmp_path / f"run-{name}")
    assert_same_run(tmp_path / "run-moved", tmp_path / "run-true")
    assert_same_run(tmp_path / "run-gone", tmp_path / "run-true")
    # Where the settings ask for them, they do.
    asked = open_dataset(folders["true"]).weak(LabelUse.SEGMENTS)
    asked = replace(asked, text_encoder=str(dataset_folder / "text_encoder"))
    train(make_config(contrastive_weight=0.1), asked, tmp_path / "run-asked")
    with pytest.raises(AssertionError):
        assert_same_run(tmp_path / "run-asked", tmp_path / "run-true")


def test_labels_and_seed_do(
    make_config: MakeConfig,
    videos: WeakVideos,
    train: Train,
    tmp_path: Path,
    assert_same_run: Callable[[Path, Path], None],
) -> None:
    """The comparison above can fail."""
    train(make_config(), videos, tmp_path / "run")
    relabelled = replace(videos, labels=np.roll(videos.labels, 1, axis=0))
    train(make_config(), relabelled, tmp_path / "relabelled")
    train(make_config(seed=1), videos, tmp_path / "seed")
    for other in ("relabelled", "seed"):
        with pytest.raises(AssertionError):
            assert_same_run(tmp_path / other, tmp_path / "run")


# --- what cannot start --------------------------------------------------------------------------


def test_a_missing_text_encoder_is_named(
    make_config: MakeConfig, videos: WeakVideos, train: Train, tmp_path: Path
) -> None:
    with pytest.raises(DuetalError, match="text_encoder="):
        train(make_config(), replace(videos, text_encoder=None), tmp_path)


def test_a_text_encoder_of_another_dimension_is_named(
    make_config: MakeConfig, videos: WeakVideos, train: Train, tmp_path: Path
) -> None:
    swapped = replace(videos, streams=dict.fromkeys(("cbp", "vlp"), videos.streams["cbp"]))
    with pytest.raises(DuetalError, match="text features have dimension 8, the VLP features 12"):
        train(make_config(), swapped, tmp_path)


def test_a_nan_in_a_feature_names_file_and_snippet(
    make_config: MakeConfig, dataset_folder: Path, train: Train, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    shutil.copytree(dataset_folder, folder)
    path = folder / "features" / "cbp" / "v03.npy"
    values = np.load(path)
    values[5, 2] = np.nan
    np.save(path, values)
    with pytest.raises(DuetalError, match=r"v03\.npy: snippet 5: .*channel 2 is nan"):
        train(make_config(), open_dataset(folder).weak(), tmp_path / "run")


def test_the_loop_knows_no_segment() -> None:
    """What it cannot name it cannot use."""
    source = Path(loop.__file__).read_text()
    assert "annotations" not in source
    assert "evaluation" not in source


# --- several networks in place of one -------------------------------------------------------------


def test_networks_learn_in_turn_and_are_averaged(
    make_config: MakeConfig, one_stream: WeakVideos, train: Train, tmp_path: Path
) -> None:
    """After three epochs of two: the first has learnt in two of them, as if it were alone."""
    config = make_config({"cbp.members": 2}, alternations=0, warmup_epochs=3, averaging=None)
    seen: list[list[torch.Tensor]] = []

    class Watching(loop.TrainingCallback):
        def on_epoch_end(self, phase: Phase, epoch: int, losses: Any, student: Any, o: Any) -> None:
            seen.append([m.decoder[-1].conv.bias.detach().clone() for m in student.members])

    loop.alternate(
        Fabric(accelerator="cpu"), config, one_stream, load_text, Watching(), loop.Method()
    )
    changed = [[not torch.equal(a, b) for a, b in zip(*two, strict=True)] for two in pairwise(seen)]
    assert changed == [[False, True], [True, False]]

    train(config, one_stream, tmp_path)
    committee = restore(config, tmp_path, "cbp-warmup", one_stream)
    assert isinstance(committee, CBPCommittee)
    features = torch.from_numpy(one_stream.streams["cbp"].read("v05"))[None]
    mask = torch.ones(features.shape[:2], dtype=torch.bool)
    with torch.no_grad():
        logits = [member(features, mask)[0] for member in committee.members]
        torch.testing.assert_close(committee(features, mask)[0], (logits[0] + logits[1]) / 2)
    assert not torch.allclose(*logits, atol=1e-3)


# --- what is announced --------------------------------------------------------------------------


class Announced:
    """A stream that keeps what it was told would be read, and what was."""

    def __init__(self, stream: Any):
        self.stream, self.told, self.read_so_far = stream, [], []  # type: ignore[var-annotated]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def expect(self, reads: Any) -> None:
        self.told.extend((n, a, self.stream.length(n) if b is None else b) for n, a, b in reads)

    def read(self, name: str, start: int = 0, stop: int | None = None) -> Any:
        self.read_so_far.append((name, start, self.stream.length(name) if stop is None else stop))
        return self.stream.read(name, start, stop)


def test_streams_are_told_what_is_read_of_them_in_its_order(
    make_config: MakeConfig, videos: WeakVideos, train: Train, tmp_path: Path
) -> None:
    streams = {name: Announced(stream) for name, stream in videos.streams.items()}
    train(make_config(crop=16, batch_size=4), replace(videos, streams=streams), tmp_path / "run")
    for stream in streams.values():
        assert stream.told == stream.read_so_far
        assert len(stream.told) > 3 * len(videos.names)
