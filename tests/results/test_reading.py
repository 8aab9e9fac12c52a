import json
import shutil

import pytest

from duetal.core.errors import DuetalError
from duetal.results.reading import MAX_SETTINGS, read_run


def test_protocol_rule_and_settings_are_read(fake_run):
    run = read_run(fake_run())
    assert run.name == "my-run"
    assert run.protocol == "thumos14/seconds-210"
    assert run.selection == "last checkpoint; no test data was used"
    assert ("training.alternations", "2") in run.config
    assert ("theta_loc", "0.1, 0.2, 0.3") in run.config
    assert ("torch", "2.13.0") in run.environment
    assert run.notices == []


@pytest.mark.parametrize("kind", ["missing", "empty", "file"])
def test_a_folder_that_is_no_run_is_an_error_that_names_it(tmp_path, kind):
    path = tmp_path / "nothing"
    if kind == "empty":
        path.mkdir()
    if kind == "file":
        path.write_text("{}")
    with pytest.raises(DuetalError, match=r"nothing: (no such run folder|not a run)"):
        read_run(path)


def test_a_run_that_is_still_training_has_a_notice_and_the_rule_of_its_model(fake_run):
    folder = fake_run()
    (folder / "evaluation.json").unlink()
    run = read_run(folder)
    assert run.selection.startswith("last checkpoint")
    assert "no evaluation yet" in run.notices[0]


def test_a_run_that_nothing_can_be_measured_on_is_finished(fake_run):
    folder = fake_run(videos=2)
    (folder / "evaluation.json").unlink()
    assert "being evaluated, or it was stopped" in read_run(folder).notices[0]
    (folder / "ground_truth.json").unlink()
    run = read_run(folder)
    assert (run.is_unmeasured, run.notices) == (True, [])
    next((folder / "detections").iterdir()).unlink()
    assert "being evaluated, or it was stopped" in read_run(folder).notices[0]


def test_seeds_are_found_in_the_order_of_their_numbers(fake_seeds):
    folder = fake_seeds(seeds=(0, 2, 10), videos=2)
    assert [seed.folder.path.name for seed in read_run(folder).seeds] == [
        "seed-0",
        "seed-2",
        "seed-10",
    ]


def test_seeds_without_a_summary_or_an_evaluation_are_noticed(fake_seeds):
    folder = fake_seeds(videos=2)
    (folder / "summary.json").unlink()
    (folder / "seed-2" / "evaluation.json").unlink()
    notices = read_run(folder).notices
    assert any("seed-2" in notice for notice in notices)
    assert any("no summary" in notice for notice in notices)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("evaluation.json", '{"stages": [', ["line 1", "not JSON"]),
        ("evaluation.json", '{"stages": [{"stage": "cbp-warmup"}]}', ["stages.0.tiou"]),
        ("evaluation.json", "[]", ["dictionary"]),
        ("config.yaml", "a: [1", ["not YAML", "line 1"]),
        ("config.yaml", "a: \x00", ["not YAML"]),
        ("config.yaml", "a: &a\n  b: *a\n", ["its aliases make more than 1,000,000 values"]),
        ("model.json", '{"format": 2, "selection": "last"}', ["duetal", "required"]),
        ("model.json", '{"selection": 3}', ["not a model", "channels"]),
        ("environment.json", "{", ["line 1"]),
    ],
)
def test_a_damaged_file_is_an_error_that_names_file_and_place(fake_run, name, text, words):
    folder = fake_run(videos=1)
    (folder / name).write_text(text)
    with pytest.raises(DuetalError) as caught:
        read_run(folder)
    assert all(word in str(caught.value) for word in [name, *words])


@pytest.mark.parametrize("name", ["../cbp-f1", "/etc/cbp-f1", ".cbp", "a/b", "", "nul\0"])
def test_no_name_of_a_record_leads_out_of_the_run(fake_run, name):
    folder = fake_run(videos=1)
    model = json.loads((folder / "model.json").read_text())
    model["stages"].append(model["stages"][0] | {"name": name})
    (folder / "model.json").write_text(json.dumps(model))
    with pytest.raises(DuetalError, match=r"stages.*name"):
        read_run(folder)


def test_yaml_aliases_cannot_blow_the_settings_up(fake_run):
    folder = fake_run(videos=1)
    text = "a: &a [x, x]\nb: &b {c: *a, d: *a}\n"
    text += "".join(f"k{i}: {{x: *b, y: *b}}\n" for i in range(999))
    (folder / "config.yaml").write_text(text)
    config = read_run(folder).config
    assert len(config) <= MAX_SETTINGS + 1
    assert len(json.dumps(config)) < 600_000


def test_files_of_a_newer_version_with_more_keys_stay_readable(fake_run):
    folder = fake_run(videos=1)
    evaluation = json.loads((folder / "evaluation.json").read_text())
    (folder / "evaluation.json").write_text(json.dumps(evaluation | {"new": {"thing": 1}}))
    assert read_run(folder).protocol == "thumos14/seconds-210"


def test_a_run_of_nothing_but_a_config_opens(fake_run, tmp_path):
    folder = tmp_path / "young"
    folder.mkdir()
    shutil.copy(fake_run(videos=1) / "config.yaml", folder)
    assert read_run(folder).selection == ""
