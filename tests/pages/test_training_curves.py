import json

from duetal.pages.training_curves import curves
from duetal.results.log_events import EpochEvent, PhaseStart
from duetal.results.reading import read_run

TERMS = {"classification": 0.3, "distillation": 0.2}


def epoch(number=1, loss=0.5, **more):
    return EpochEvent(phase="warmup", branch="cbp", epoch=number, loss=loss, **more).to_json()


def curves_of(folder, *events, seed=None):
    own = folder if seed is None else folder / f"seed-{seed}"
    own.mkdir(exist_ok=True)
    text = "".join(json.dumps(event) + "\n" for event in events)
    (own / "metrics.jsonl").write_text(text)
    return curves(read_run(folder))


def test_a_resumed_run_shows_each_epoch_once(tmp_path):
    (phase,) = curves_of(tmp_path, epoch(loss=0.5), epoch(loss=0.25))
    assert phase["series"] == [{"name": "total", "runs": [[[1, 0.25]]]}]


def test_a_loss_that_is_not_finite_is_a_gap(tmp_path):
    (phase,) = curves_of(tmp_path, epoch() | {"loss": float("nan")}, epoch(2))
    assert phase["series"][0]["runs"] == [[[1, None], [2, 0.5]]]


def test_every_seed_has_a_curve_and_terms_follow_the_total(tmp_path):
    curves_of(tmp_path, epoch(loss=0.5, terms=TERMS), seed=0)
    (phase,) = curves_of(tmp_path, epoch(loss=0.75, terms=TERMS), seed=1)
    assert phase["series"] == [
        {"name": "total", "runs": [[[1, 0.5]], [[1, 0.75]]]},
        {"name": "classification", "runs": [[[1, 0.3]], [[1, 0.3]]]},
        {"name": "distillation", "runs": [[[1, 0.2]], [[1, 0.2]]]},
    ]


def test_titles_come_from_the_record_that_a_phase_starts_with(tmp_path):
    start = PhaseStart(
        name="T1", title="T step 1", student="xyz", teacher="abc", distils=["everything"],
        stage="xyz-t1",
    )  # fmt: skip
    event = epoch() | {"phase": "T1", "branch": "xyz"}
    taught, alone = curves_of(tmp_path, start.to_json(), event, epoch())
    assert (taught["title"], taught["branch"]) == ("T1 · XYZ learns everything from ABC", "xyz")
    assert alone["title"] == "Warm-up · CBP alone"
