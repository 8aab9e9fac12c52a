"""The recipe `auto`: what it chooses, keeps, says and resumes."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lightning_fabric import Fabric

from duetal.backbones.text_towers import load_text_tower
from duetal.config import Config, load_config
from duetal.core.errors import DuetalError
from duetal.core.weak_videos import WeakVideos
from duetal.method.loop import Method
from duetal.recipes import read
from duetal.results.schema import ChoiceFile
from duetal.runs.run import open_run
from duetal.simulation.tiny_clip import make_tiny_clip
from duetal.tuning import choosing, tune

Command = Callable[..., tuple[int, str, str]]
#: What makes the recipe train in seconds.
QUICK = ("tuning.updates=2", "width=8", "scales=3", "prompts_before=1", "prompts_after=1")


@pytest.fixture(scope="module")
def auto_run(tmp_path_factory: pytest.TempPathFactory, tiny_dataset: Path) -> Path:
    """A run of the recipe, one of whose settings is given."""
    from duetal.cli.main import main

    out = tmp_path_factory.mktemp("auto") / "run"
    with pytest.raises(SystemExit) as stop:
        main(["train", f"dataset={tiny_dataset}", "levels=1", *QUICK, "--out", str(out)])
    assert stop.value.code == 0
    return out


def test_every_choice_has_its_reason_and_is_in_the_settings(auto_run: Path) -> None:
    run = open_run(auto_run)
    values = run.config.flat()
    choices = ChoiceFile.read(run.folder.choices_file).choices
    chosen = {name: value for one in choices for name, value in one.values.items()}
    assert chosen.keys() == set(run.config.tuning.choose)
    for name, value in chosen.items():
        assert values[name] == value
    log = (auto_run / "log.txt").read_text()
    for one in choices:
        assert one.reason in log
    assert run.config.data.crop == 72  # The longest of 66 snippets, to a multiple of 8.
    assert run.config.losses.class_ratios is not None
    assert len(run.config.losses.class_ratios) == len(run.model.classes)


def test_a_given_setting_is_kept(auto_run: Path) -> None:
    config = open_run(auto_run).config
    assert config.cbp.levels == 1
    assert "cbp.levels" not in config.tuning.choose


def test_a_run_goes_on_with_what_was_chosen(
    auto_run: Path, tiny_dataset: Path, duetal: Command
) -> None:
    before = (auto_run / "choices.json").read_text()
    words = ("train", "auto", f"dataset={tiny_dataset}", "levels=1", *QUICK, "--out", auto_run)
    code, out, _ = duetal(*words, "--resume")
    assert (code, "was trained already" in out) == (0, True)
    assert (auto_run / "choices.json").read_text() == before
    code, _, err = duetal(*words, "--resume", "dropout=0.1")
    assert (code, "cbp.dropout: 0.1, not 0.3" in err) == (2, True)


def test_another_seed_has_the_settings_of_the_first(
    auto_run: Path, tiny_dataset: Path, tmp_path: Path, duetal: Command
) -> None:
    shutil.copytree(auto_run, tmp_path / "run" / "seed-0")
    words = ("train", "auto", f"dataset={tiny_dataset}", "levels=1", *QUICK, "--seeds", "0,1")
    code, _, err = duetal(*words, "--out", tmp_path / "run", "--resume")
    assert code == 0, err
    assert "chosen for" in (tmp_path / "run" / "seed-1" / "log.txt").read_text()
    first, second = (open_run(tmp_path / "run" / f"seed-{seed}") for seed in (0, 1))
    assert first.config.differences(second.config) == ["schedule.seed: 0, not 1"]
    assert first.folder.choices_file.read_text() == second.folder.choices_file.read_text()


def test_a_setting_that_is_free_is_taken_from_the_command_that_resumes(
    auto_run: Path,
    tiny_dataset: Path,
    tmp_path: Path,
    duetal: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun = tmp_path / "run"
    shutil.copytree(auto_run, begun)
    (begun / "model.json").unlink()
    used: list[Config] = []

    def stop(fabric: object, config: Config, *rest: object) -> None:
        used.append(config)
        raise DuetalError("stop here")

    monkeypatch.setattr("duetal.runs.training.train_phases", stop)
    words = ("train", f"dataset={tiny_dataset}", "levels=1", *QUICK, "checkpoint_every=7")
    assert duetal(*words, "--out", begun, "--resume")[0] == 1
    assert used[0] == open_run(auto_run).config.replace(checkpoint_every=7)


def test_videos_that_cannot_be_held_out_are_said(
    tiny_dataset: Path, tmp_path: Path, duetal: Command
) -> None:
    """One video a class: the shares are found, the rest stays as it is."""
    folder = tmp_path / "data"
    folder.mkdir()
    content = json.loads((tiny_dataset / "annotations.json").read_text())
    known = content["database"]
    few = {name: known[name] for name in ("v_0", "v_1", "v_2", "v_6")}
    (folder / "annotations.json").write_text(json.dumps(content | {"database": few}))
    text = (tiny_dataset / "dataset.yaml").read_text()
    for name in ("features/cbp", "features/vlp", "text_encoder"):
        text = text.replace(f": {name}", f": {tiny_dataset / name}")
    (folder / "dataset.yaml").write_text(text)
    code, out, err = duetal("train", f"dataset={folder}", *QUICK, "--out", tmp_path / "run")
    assert (code, err) == (0, ""), err
    assert "no training video can be held out" in out
    assert "cbp.levels" not in json.dumps(ChoiceFile.read(tmp_path / "run/choices.json").to_json())


@pytest.mark.parametrize(
    ("words", "left"),
    [((), True), (("crop=64",), False), (("choose=[data.crop]", "crop=8"), False)],
)
def test_what_is_chosen_leaves_out_what_is_given(words: tuple[str, ...], left: bool) -> None:
    config = load_config(read("auto"), "auto", words)
    assert ("data.crop" in config.tuning.choose) == left


def test_a_stream_that_carries_nothing_does_not_count(
    make_videos: Callable[..., WeakVideos], tmp_path: Path
) -> None:
    make_tiny_clip(tmp_path, dimension=8)
    videos = make_videos([0.15, 0.3, 0.3])
    cbp: Any = videos.streams["cbp"]
    flat = {name: np.ones((len(x), 8), dtype=np.float32) for name, x in cbp.arrays.items()}
    streams = {"cbp": cbp, "vlp": replace(cbp, arrays=flat)}
    videos = replace(videos, streams=streams, text_encoder=str(tmp_path))
    config = load_config(read("auto"), "auto", (*QUICK, "warmup_epochs=1"))
    told: list[str] = []
    fabric = Fabric(accelerator="cpu", devices=1)
    config, choices = tune(fabric, config, videos, load_text_tower, Method(), told.append)
    assert "stream vlp ranks videos no better than chance" in told[2]
    assert any(one.reason in told[2] and not one.values for one in choices)
    assert (config.schedule.b_weight, config.schedule.f_weight) == (1, 0)
    assert config.localization.ensemble_weight == 0


@pytest.mark.parametrize(
    ("own", "half", "wider"),
    [
        ([0.9, 0.5, 0.9], [0.9, 0.9, 0.8], [1]),  # The second is not found by its share.
        ([0.9, 0.9, 0.9], [0.95, 0.9, 0.8], []),  # Less than is worth it.
        ([0.5, 0.5, 0.5], [0.9, 0.9, 0.9], [0, 1, 2]),
    ],
)
def test_a_class_is_pooled_over_half_where_that_ranks_better(
    own: list[float],
    half: list[float],
    wider: list[int],
    make_videos: Callable[..., WeakVideos],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = iter((own, half))
    monkeypatch.setattr("duetal.tuning.choosing.class_ap", lambda *_: np.array(next(found)))
    words = (*QUICK, "choose=[losses.class_ratios]", "crop=64", "warmup_epochs=1", "f_epochs=1")
    videos, config = make_videos([0.15, 0.15, 0.15]), load_config(read("auto"), "auto", words)
    fabric = Fabric(accelerator="cpu", devices=1)
    config, choices = tune(fabric, config, videos, load_text_tower, Method())
    ratios = config.losses.class_ratios
    assert ratios is not None
    assert [k for k, ratio in enumerate(ratios) if ratio == 2] == wider
    (reason,) = (one.reason for one in choices if "losses.class_ratios" in one.values)
    assert all(f"c{k}" in reason for k in wider)


@dataclass
class Ranking:
    """A rehearsal whose student ranks by the weight of its teacher as given."""

    by_weight: dict[float, float]
    weight: float = 1.0

    def copy(self) -> "Ranking":
        return replace(self)

    def train(self, settings: Config, phases: object) -> str:
        self.weight = settings.schedule.b_weight
        return "vlp-b1"

    def mean_ap(self, stage: str) -> float:
        return self.by_weight[self.weight]


@pytest.mark.parametrize(
    ("by_weight", "factor", "said"),
    [
        ({1: 0.9, 0: 0.8}, 1.0, "80.0 on labels alone"),
        ({1: 0.8, 0: 0.8}, 1.0, "the teacher adds nothing"),
        ({1: 0.7, 0: 0.8, 0.1: 0.78}, 0.1, "78.0 with a tenth of λ"),
        ({1: 0.6, 0: 0.8, 0.1: 0.7}, 0.0, "the teacher is left out"),
    ],
)
def test_a_teacher_must_reach_what_labels_alone_do(
    by_weight: dict[float, float], factor: float, said: str
) -> None:
    state = choosing._Choosing(load_config(read("auto"), "auto", []), print, [])
    taught: Any = Ranking(by_weight)
    chosen, rehearsal, told = choosing._weigh_teacher(
        state, taught, ["B1"], "schedule.b_weight", "AP"
    )
    assert (chosen, rehearsal.mean_ap("vlp-b1")) == (factor, by_weight[factor])
    assert said in told
