"""The model card: its facts are in the run's files, and a name never becomes markup."""

import shutil
import string
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from duetal.config import make_config, read_values
from duetal.core.console import printable
from duetal.core.grid import TimeGrid
from duetal.evaluation import Evaluation
from duetal.publishing.model_card import escape, render_card
from duetal.publishing.public_run import PublicRun, open_public_run
from duetal.results.folder import RunFolder
from duetal.results.schema import (
    BranchRecord,
    Heldout,
    LabelEvaluation,
    LabelScores,
    ModelRecord,
    PhaseRecord,
    RunEvaluation,
    StageRecord,
    StageScores,
)
from duetal.runs.run import Run

NASTY = [
    "</script><script>alert(1)</script>",
    "line\nbreak: 'quoted' \"twice\"",
    "--- # | a | b |",
    "*bold* _em_ `code` [link](http://x) ![image](y) ~~no~~ $x$ &amp; \\n",
]
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
MARKDOWN = MarkdownIt("commonmark").enable("table").enable("strikethrough")


def model(**changes: Any) -> ModelRecord:
    fixed: dict[str, Any] = {
        "duetal": "0.1.0",
        "classes": ["Diving", "HighJump"],
        "grid": TimeGrid(fps=25, stride=16, window=16),
        "branches": [
            BranchRecord(name="cbp", title="CBP", dim=2048, final="cbp-f1"),
            BranchRecord(name="vlp", title="VLP", dim=512, final="vlp-b1"),
        ],
        "phases": [
            PhaseRecord(name="B1", title="B1", student="vlp", teacher="cbp", stage="vlp-b1"),
            PhaseRecord(name="F1", title="F1", student="cbp", teacher="vlp", stage="cbp-f1"),
        ],
        "stages": [
            StageRecord(name="vlp-b1", title="VLP after B1", branch="vlp", phase="B1"),
            StageRecord(name="cbp-f1", title="CBP after F1", branch="cbp", phase="F1"),
        ],
        "selection": "last checkpoint of each branch; the test set chose nothing",
    }
    return ModelRecord(**(fixed | changes))


def evaluation(mean_ap: float = 0.25, *, simulated: bool = False) -> RunEvaluation:
    tiou = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
    scores = Evaluation(
        protocol="thumos14/seconds-210",
        subset="test",
        tiou=tiou,
        mean_ap=(mean_ap,) * 7,
        averages={"0.1:0.7": mean_ap},
        per_class={},
        videos=210,
        segments=3_346,
        predictions=9,
        notes=("3 evaluation videos have no features",),
    )
    titles = {"cbp-f1": "CBP after F1", "ensemble": "Ensemble"}
    stages = [
        StageScores.model_validate({"stage": stage, "title": title, **dict(scores)})
        for stage, title in titles.items()
    ]
    return RunEvaluation(protocol=scores.protocol, simulated=simulated, stages=stages)


def published(path: str = "runs/mine", **parts: Any) -> PublicRun:
    settings = {"dataset": "/disk/jones/data/thumos14", "text_encoder": "openai/clip", "seed": 7}
    values = read_values(settings | parts.pop("settings", {}), "test")
    run = Run(RunFolder(Path(path)), make_config(values, "test"), parts.pop("model", model()))
    empty = PublicRun(Path(path), {"": run}, {}, {}, {}, ())
    return replace(empty, **parts)


def front_matter(card: str) -> dict[str, Any]:
    _, front, _ = card.split("---\n", 2)
    return yaml.safe_load(front)


def rows(card: str) -> dict[str, list[str]]:
    """Cells by the first of their row."""
    found = {}
    for line in card.splitlines():
        if line.startswith("| "):
            first, *others = [cell.strip() for cell in line.strip("|").split(" | ")]
            found[first] = others
    return found


def test_it_shows_what_is_recorded() -> None:
    features = {
        "modalities": ["rgb", "clip"],
        "short_side": 256,
        "flow_engine": {"engine": "tvl1", "tau": 0.25},
        "rgb": {
            "name": "/disk/jones/weights/rgb.pt",
            "sha256": "a" * 64,
            "architecture": "i3d-rgb",
            "licence": "Apache-2.0",
        },
        "clip": {
            "name": "openai/clip-vit-base-patch16",
            "sha256": "b" * 64,
            "architecture": "CLIPModel",
            "licence": None,
        },
    }
    known = model(training_videos=200, simulated=False, features=features)
    card = render_card(published(model=known, evaluations={"": evaluation()}), "me/thumos")
    cells = rows(card)
    assert cells["dataset"] == ["thumos14"]
    assert cells["training videos"] == ["200"]
    assert cells["test videos"] == ["210"]
    assert cells["features are"] == ["not simulated"]
    assert cells["rgb"] == ["i3d-rgb", "rgb.pt", "a" * 64, "Apache-2.0"]
    assert cells["clip"][1:] == ["openai/clip-vit-base-patch16", "b" * 64, "not recorded"]
    assert cells["flow_engine.tau"] == ["0.25"]
    assert cells["CBP after F1"] == ["25.0"] * 8
    assert "Protocol: thumos14/seconds-210 (BaS-Net family, seconds)" in card
    assert "210 test videos with 3,346 segments" in card
    assert "Note: 3 evaluation videos have no features" in card
    assert "Checkpoints used: cbp-f1, vlp-b1; chosen by this rule: last checkpoint of" in card
    assert "- Seeds: 7\n" in card
    assert "- Classes (2): Diving, HighJump\n" in card
    assert "25 frames per second, a snippet of 16 frames every 16" in card
    assert "$ hf download me/thumos --local-dir thumos\n" in card
    assert "duetal localize thumos my-videos/ --out found --i3d-rgb WEIGHTS\n" in card
    assert 'weights={"rgb": "…"}' in card
    assert "/disk/jones" not in card
    front = front_matter(card)
    (result,) = front["model-index"][0]["results"]
    assert result["dataset"]["name"] == "thumos14"
    assert {metric["value"] for metric in result["metrics"]} == {25.0}
    assert "license" not in front


def test_what_is_not_recorded_is_not_invented() -> None:
    card = render_card(published())
    cells = rows(card)
    assert cells["training videos"] == ["not recorded"]
    assert cells["test videos"] == ["not recorded"]
    assert cells["features are"] == ["not recorded"]
    assert "Localization mAP: not recorded." in card
    assert "How the features were made: not recorded.\nWhether features of other" in card
    assert front_matter(card).keys() == {"library_name", "tags"}
    assert "hf download" not in card


def test_simulated_features_are_marked_everywhere() -> None:
    card = render_card(published(evaluations={"": evaluation(simulated=True)}))
    assert "**The features are simulated: no number here is about real videos.**" in card
    assert rows(card)["features are"] == ["simulated"]
    assert "of no use on real videos" in card
    (result,) = front_matter(card)["model-index"][0]["results"]
    assert result["dataset"]["name"] == "thumos14 (simulated features)"


def test_held_out_labels_and_settings() -> None:
    heldout = Heldout(videos=["patient-jones"], mean_ap={"cbp-f1": 0.5, "vlp-b1": 0.25})
    row = LabelScores.model_validate({"stage": "cbp-f1", "per_class": {"A": 0.5}, "first_right": 1})
    labels = LabelEvaluation(videos=["patient-smith"], chance=0.1, stages=[row])
    settings = {"learning_rate": 0.01, "accelerator": "cpu", "dataset": "/run/video-dataset"}
    given = published(model=model(heldout=heldout), labels={"": labels}, settings=settings)
    card = render_card(given)
    assert "video-level mAP in percent: cbp-f1 50.0, vlp-b1 25.0." in card
    assert "on 1 held-out videos" in card
    assert "CBP after F1 50.0; chance 10.0." in card
    assert "patient" not in card
    assert rows(card)["schedule.learning_rate"] == ["0.01"]
    assert "accelerator" not in card
    assert rows(card)["dataset"] == ["own videos and a table of their labels"]


def test_any_number_of_branches() -> None:
    names = ("cbp", "vlp", "audio")
    titles = ("CBP last", "VLP last", "AUDIO last", "Ensemble")
    known = model(
        branches=[BranchRecord(name=n, title=n.upper(), dim=64, final=n) for n in names],
        stages=[StageRecord(name=n, title=f"{n.upper()} last", branch=n) for n in names],
        phases=[
            PhaseRecord(name=f"{n}-1", title=n, student=n, teacher=teacher, stage=n)
            for n, teacher in (("cbp", None), ("vlp", "cbp"), ("cbp", "vlp"), ("vlp", "cbp"))
        ],
    )
    scores = evaluation()
    rows = [scores.stages[0].model_copy(update={"title": title}) for title in titles]
    scored = {"": scores.model_copy(update={"stages": rows})}
    card = render_card(published(model=known, evaluations=scored))
    assert ": CBP (C = 64), VLP (C = 64), AUDIO (C = 64)\n" in card
    assert "teacher → student: CBP → VLP, VLP → CBP\n" in card
    assert "`--branch both` uses the ensemble of the branches." in card
    (result,) = front_matter(card)["model-index"][0]["results"]
    shown = [metric["name"].rpartition(", ")[2] for metric in result["metrics"]]
    assert shown == list(titles)
    one = model(branches=known.branches[:1], stages=known.stages[:1], phases=known.phases[:1])
    alone = render_card(published(model=one))
    assert "--branch both" not in alone
    assert "teacher →" not in alone


@pytest.mark.recipe
def test_it_names_the_detector_and_its_teacher(tiny_detector_run: Path) -> None:
    card = render_card(open_public_run(tiny_detector_run))
    for text in ("ensemble → Detector", "vlp-b1, detector-2; chosen", "`--branch detector`"):
        assert text in card, text
    assert ", Detector after round 2" in card.partition("\n# ")[0]


@pytest.mark.recipe
def test_seeds_are_averaged_and_the_card_of_one_shows_it(tiny_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "several"
    for seed in (0, 1):
        shutil.copytree(tiny_run, folder / f"seed-{seed}")
    cells = rows(render_card(open_public_run(tiny_run)))
    for path in (folder, folder / "seed-1"):
        card = render_card(open_public_run(path))
        assert "Mean ± standard deviation over the seeds 0, 1" in card
        assert cells["Ensemble"][0] + " ± 0.0" in card
    assert "Seed 0, by stage" in card
    alone = render_card(open_public_run(tiny_run))
    assert "Mean ±" not in alone
    assert "training videos | 6 |" in alone


@pytest.mark.parametrize("name", NASTY)
def test_a_name_is_no_markup(name: str) -> None:
    nasty = model(classes=[name, "B"], selection=name, duetal=name)
    features = {
        "modalities": [name],
        "rgb": {"name": f"/x/{name}", "sha256": name, "architecture": name, "licence": name},
    }
    nasty = nasty.model_copy(update={"features": features})
    scored = evaluation()
    changes = {"title": name, "notes": (name,), "protocol": name}
    scored = scored.model_copy(update={"stages": [scored.stages[0].model_copy(update=changes)]})
    settings = {"dataset": f"/disk/jones/{name}", "accelerator": name}
    given = published(name, model=nasty, evaluations={"": scored}, settings=settings)
    card = render_card(given)
    tokens = MARKDOWN.parse(card.split("---\n", 2)[2])
    inline = [child for token in tokens for child in token.children or ()]
    assert not [token for token in (*tokens, *inline) if token.type.startswith("html")]
    assert not [token for token in inline if token.type in ("image", "s_open", "em_open")]
    links = [token.attrs["href"] for token in inline if token.type == "link_open"]
    assert set(links) == {"https://arxiv.org/abs/2212.09335"}
    assert len([token for token in tokens if token.type == "heading_open"]) == 9
    assert front_matter(card)["library_name"] == "duetal"
    assert "\n---\n" not in card.split("---\n", 2)[2]


@given(name=NAMES | st.text(string.punctuation + " a1\n", min_size=1, max_size=12))
def test_an_escaped_name_reads_as_itself(name: str) -> None:
    shown = MARKDOWN.parseInline(f"x {escape(name)} x")[0].children
    assert shown is not None
    assert {token.type for token in shown} <= {"text", "text_special", "entity"}
    assert "".join(token.content for token in shown) == f"x {printable(name)} x"


def test_the_citation_is_that_of_the_citation_file() -> None:
    root = Path(__file__).parents[2]
    cited = yaml.safe_load((root / "CITATION.cff").read_text())
    paper = cited["preferred-citation"]
    card = render_card(published())
    bibtex = card[card.index("@inproceedings") :]
    assert paper["title"] in bibtex
    authors = " and ".join(f"{a['family-names']}, {a['given-names']}" for a in paper["authors"])
    assert f"{{{authors}}}" in bibtex
    assert f"{{{paper['year']}}}" in bibtex
    assert f"{{{paper['start']}--{paper['end']}}}" in bibtex
    values = {one["type"]: one["value"] for one in paper["identifiers"]}
    assert values["doi"] in bibtex
    assert values["other"] == "arXiv:2212.09335"
    assert "arxiv:2212.09335" in front_matter(card)["tags"]
    assert paper["title"].startswith("Distilling Vision-Language Pre-training to Collaborate")
    assert cited["license"] == "Apache-2.0"
    licence = (root / "LICENSE").read_text()
    assert "Apache License" in licence
    assert "Version 2.0, January 2004" in licence
