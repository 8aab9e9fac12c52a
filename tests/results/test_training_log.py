import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duetal.core.errors import DuetalError
from duetal.results.log_events import PhaseStart
from duetal.results.training_log import TrainingLog, read_training_log

EPOCH = {"event": "epoch", "phase": "warmup", "branch": "cbp", "epoch": 1, "loss": 0.5}


def write(path: Path, *lines: object) -> Path:
    texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text("\n".join(texts) + "\n")
    return path


def test_a_missing_log_is_an_empty_one(tmp_path):
    log = read_training_log(tmp_path / "metrics.jsonl")
    assert log == TrainingLog()


@pytest.mark.parametrize("cut", ['{"event": "epo', '{"event": "epoch", "phase": "B1"', "{", '"'])
def test_half_a_last_line_is_left_out_with_a_notice(tmp_path, cut):
    log = read_training_log(write(tmp_path / "metrics.jsonl", EPOCH, cut))
    assert list(log.epochs["warmup"]) == [1]
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
    assert [e.loss for e in read_training_log(path).epochs["warmup"].values()] == [0.25]


def test_a_phase_has_the_record_that_it_starts_with_or_one_derived_from_its_name(tmp_path):
    start = PhaseStart(name="polish", title="Polish", student="xyz", teacher="cbp", stage="xyz-2")
    epoch = EPOCH | {"phase": "polish", "branch": "xyz"}
    log = read_training_log(write(tmp_path / "metrics.jsonl", start.to_json(), epoch, EPOCH))
    assert list(log.epochs) == list(log.phases) == ["polish", "warmup"]
    assert log.phases["polish"] == start
    assert log.phases["warmup"].student == "cbp"


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
def test_any_log_is_read_or_a_duetal_error(tmp_path_factory, changes, event, rest):
    path = tmp_path_factory.mktemp("log") / "metrics.jsonl"
    path.write_bytes(json.dumps({**EPOCH, "event": event} | changes).encode() + b"\n" + rest)
    with contextlib.suppress(DuetalError):
        log = read_training_log(path)
        epochs = [epoch for phase in log.epochs.values() for epoch in phase.values()]
        json.dumps([epoch.to_json() for epoch in epochs], allow_nan=False)
