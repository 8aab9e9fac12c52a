import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duetal.core.errors import DuetalError
from duetal.results.training_log import read_training_log

EPOCH = {"event": "epoch", "phase": "warmup", "branch": "cbp", "epoch": 1, "loss": 0.5}


def write(path: Path, *lines: object) -> Path:
    texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text("\n".join(texts) + "\n")
    return path


def test_a_missing_log_is_an_empty_one(tmp_path):
    log = read_training_log(tmp_path / "metrics.jsonl")
    assert (log.phases, log.pseudo_labels, log.notices) == ({}, {}, [])


@pytest.mark.parametrize("cut", ['{"event": "epo', '{"event": "epoch", "phase": "B1"', "{", '"'])
def test_half_a_last_line_is_left_out_with_a_notice(tmp_path, cut):
    log = read_training_log(write(tmp_path / "metrics.jsonl", EPOCH, cut))
    assert list(log.phases["warmup"].epochs) == [1]
    assert "last line (2)" in log.notices[0]


def test_a_last_line_cut_inside_a_letter_is_left_out(tmp_path):
    path = write(tmp_path / "metrics.jsonl", EPOCH)
    path.write_bytes(path.read_bytes() + '{"phase": "é'.encode()[:-1])
    assert len(read_training_log(path).notices) == 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"event": "epo', ["line 2", "not JSON"]),
        ("[1]", ["line 2", "not a JSON object"]),
        ({**EPOCH, "loss": "big"}, ["line 2", "loss"]),
        ({"event": "epoch", "phase": "B1"}, ["line 2", "epoch"]),
        ({"event": "pseudo_labels", "phase": "B1", "foreground": -1}, ["line 2", "foreground"]),
    ],
)
def test_a_damaged_line_before_the_last_is_an_error_that_names_it(tmp_path, line, words):
    path = write(tmp_path / "metrics.jsonl", EPOCH, line, EPOCH)
    with pytest.raises(DuetalError) as caught:
        read_training_log(path)
    assert all(word in str(caught.value) for word in [str(path), *words])


def test_a_resumed_run_repeats_epochs_and_the_later_line_counts(tmp_path):
    path = write(tmp_path / "metrics.jsonl", EPOCH, {**EPOCH, "loss": 0.25})
    (phase,) = curves([read_training_log(path)])
    assert phase["series"] == [{"name": "total", "runs": [[[1, 0.25]]]}]


def test_a_loss_that_is_not_finite_is_a_gap(tmp_path):
    line = json.dumps(EPOCH).replace("0.5", "NaN")
    (phase,) = curves(
        [read_training_log(write(tmp_path / "metrics.jsonl", line, EPOCH | {"epoch": 2}))]
    )
    assert phase["series"][0]["runs"] == [[[1, None], [2, 0.5]]]


def test_curves_of_seeds_stand_side_by_side_and_terms_follow_the_total(tmp_path):
    terms = {"terms": {"classification": 0.3, "distillation": 0.2}}
    logs = [
        read_training_log(write(tmp_path / f"{seed}.jsonl", EPOCH | terms | {"loss": loss}))
        for seed, loss in enumerate((0.5, 0.75))
    ]
    (phase,) = curves(logs)
    assert phase["series"] == [
        {"name": "total", "runs": [[[1, 0.5]], [[1, 0.75]]]},
        {"name": "classification", "runs": [[[1, 0.3]], [[1, 0.3]]]},
        {"name": "distillation", "runs": [[[1, 0.2]], [[1, 0.2]]]},
    ]


def test_a_line_separator_inside_a_name_does_not_end_a_record(tmp_path):
    line = json.dumps(EPOCH | {"phase": "a\u2028b"}, ensure_ascii=False)
    log = read_training_log(write(tmp_path / "metrics.jsonl", line, EPOCH))
    assert list(log.phases) == ["a\u2028b", "warmup"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(
    changes=st.dictionaries(
        st.sampled_from(["event", "phase", "branch", "epoch", "loss", "terms", "classes"]), JSON
    ),
    event=st.sampled_from(["epoch", "pseudo_labels", "phase_end"]),
    rest=st.binary(max_size=20),
)
def test_whatever_the_log_says_it_is_read_or_a_duetal_error(tmp_path_factory, changes, event, rest):
    path = tmp_path_factory.mktemp("log") / "metrics.jsonl"
    path.write_bytes(json.dumps({**EPOCH, "event": event} | changes).encode() + b"\n" + rest)
    with contextlib.suppress(DuetalError):
        json.dumps(curves([read_training_log(path)]), allow_nan=False)
