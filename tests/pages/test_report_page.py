import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from importlib.resources import files

import pytest
from click.testing import CliRunner

from duetal.cli.main import main
from duetal.cli.report import command
from duetal.core.errors import DuetalError
from duetal.pages import render_report, write_report

HOSTILE = "</script><img src=x onerror=alert(1)>"
NAMES = [HOSTILE, "<!--<script>", "a&amp;b\"'`${1}{{7*7}}", "line\u2028\u2029break"]


class Page(HTMLParser):
    """The elements of a page, the text of its cells, and its data block."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.elements, self.rows, self.text, self.stack = [], [], "", []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.stack.append((tag, dict(attributes)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td") and self.rows:
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        while self.stack and self.stack.pop()[0] != tag:
            pass

    def handle_data(self, text):
        open_tags = [tag for tag, _ in self.stack]
        if open_tags and open_tags[-1] == "script":
            if self.stack[-1][1].get("type") == "application/json":
                self.data = json.loads(text)
            return
        if "style" not in open_tags:
            self.text += text
        if {"td", "th"} & set(open_tags):
            self.rows[-1][-1] += text.strip()


def policy_of(page):
    return next(a["content"] for t, a in page.elements if a.get("http-equiv"))


def test_the_table_holds_every_stage_and_the_rule_that_chose_the_checkpoint(fake_run):
    folder = fake_run()
    page = Page(render_report(folder))
    evaluation = json.loads((folder / "evaluation.json").read_text())
    for stage in evaluation["stages"]:
        row = next(row for row in page.rows if row and row[0] == stage["title"])
        shown = [float(cell.removesuffix("(best)")) for cell in row[1:]]
        expected = [100 * value for value in [*stage["mAP"], *stage["averages"].values()]]
        assert shown == pytest.approx(expected, abs=0.051)
    assert page.text.count("last checkpoint; no test data was used") == 2
    assert page.text.count("thumos14/seconds-210") == 3


def test_charts_are_given_titles_marks_and_teachers(fake_run):
    page = Page(render_report(fake_run(videos=1)))
    keys = ("short", "branch", "mark", "teacher")
    assert [tuple(point[key] for key in keys) for point in page.data["journey"]] == [
        ("warm-up", "cbp", "mark-1", None),
        ("zero-shot", "vlp", "mark-2", None),
        ("B1", "vlp", "mark-2", 0),
        ("F1", "cbp", "mark-1", 2),
        ("B2", "vlp", "mark-2", 3),
        ("F2", "cbp", "mark-1", 4),
        ("both", None, "mark-3", None),
    ]
    phases = [(phase["title"], phase["mark"]) for phase in page.data["training"]]
    assert phases[:2] == [
        ("Warm-up · CBP alone", "mark-1"),
        ("B1 · VLP learns foreground and background from CBP", "mark-2"),
    ]
    # The first stage of each branch is drawn hollow: in the legend, and for each class.
    hollow = [a for tag, a in page.elements if "first" in a.get("class", "").split()]
    assert {a["class"].split()[1] for a in hollow} == {"mark-1", "mark-2"}
    assert len(hollow) == 2 + 2 * 20


def test_a_run_of_several_seeds_shows_mean_and_standard_deviation(fake_seeds):
    page = Page(render_report(fake_seeds(videos=2)))
    row = next(row for row in page.rows if row and row[0] == "Ensemble")
    assert all(re.fullmatch(r"\d+\.\d± \d\.\d(\(best\))?", cell.strip()) for cell in row[1:])
    assert "over 3 seeds" in page.text
    assert [len(phase["series"][0]["runs"]) for phase in page.data["training"]] == [3] * 5
    assert "videos of seed-0" in page.text


@pytest.mark.parametrize("simulated", [False, True])
def test_scores_of_simulated_features_are_marked(fake_run, simulated):
    folder = fake_run()
    evaluation = json.loads((folder / "evaluation.json").read_text())
    (folder / "evaluation.json").write_text(json.dumps(evaluation | {"simulated": simulated}))
    text = Page(render_report(folder)).text
    assert ("mAP in percent, on simulated features" in text) == simulated
    assert ("stand for no real video" in text) == simulated


def test_pseudo_labels_are_counted_by_step_and_class(fake_run):
    folder = fake_run(videos=1)
    event = next(
        json.loads(line)
        for line in (folder / "metrics.jsonl").read_text().splitlines()
        if "pseudo_labels" in line
    )
    page = Page(render_report(folder))
    row = next(row for row in page.rows if row and row[0] == "Billiards" and len(row) == 5)
    counts = event["classes"]["Billiards"]
    assert row[2:] == [f"{counts[kind]:,}" for kind in ("foreground", "background", "ignored")]


def test_names_are_inert_in_the_markup_and_whole_in_the_data(fake_run):
    folder = fake_run(names=NAMES, classes=[*NAMES, "Plain"], videos=5)
    (folder / "config.yaml").write_text(f"name: {HOSTILE!r}\n")
    html = render_report(folder)
    page = Page(html)
    assert [tag for tag, _ in page.elements].count("script") == 2
    assert not any(tag == "img" for tag, _ in page.elements)
    assert not any(name.startswith("on") for _, a in page.elements for name in a)
    assert page.data["explorer"]["videos"][:4] == NAMES
    block = html[html.index('id="data">') + 10 : html.index("</script>", html.index('id="data">'))]
    assert not set("<>&\u2028\u2029") & set(block)
    html.encode("utf-8")


def test_half_a_surrogate_pair_in_a_name_does_not_stop_the_page(fake_run):
    folder = fake_run(videos=1)
    text = (folder / "ground_truth.json").read_text()
    (folder / "ground_truth.json").write_text(text.replace("BaseballPitch", "\\ud800pitch"))
    for file in (folder / "detections").iterdir():
        file.write_text(file.read_text().replace("BaseballPitch", "\\ud800pitch"))
    evaluation = (folder / "evaluation.json").read_text()
    (folder / "evaluation.json").write_text(evaluation.replace("Ensemble", "\\ud800semble"))
    explorer = Page(write_report(folder).path.read_text("utf-8")).data["explorer"]
    assert "\ud800pitch" in explorer["classes"]


def test_the_policy_allows_the_page_s_own_script_and_style_alone(fake_run):
    html = render_report(fake_run(videos=1))
    policy = policy_of(Page(html))
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for tag, directive in (("script", "script-src"), ("style", "style-src")):
        content = html.rsplit(f"<{tag}>", 1)[1].split(f"</{tag}>", 1)[0]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy


def test_nothing_on_the_page_points_outside(fake_run):
    page = Page(render_report(fake_run(videos=1)))
    links = [a.get("src") or a.get("href") for _, a in page.elements if {"src", "href"} & set(a)]
    assert links
    assert all(link.startswith(("#", "data:")) for link in links)


def test_the_scripts_make_text_never_markup():
    folder = files("duetal.pages") / "assets"
    shipped = {path.name for path in folder.iterdir() if path.name.endswith(".js")}
    assert shipped
    for name in shipped:
        source = (folder / name).read_text("utf-8")
        for word in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "</",
        ):
            assert word not in source, f"{name} uses {word}"


def test_a_cut_log_gives_a_page_with_a_notice(fake_run):
    folder = fake_run(videos=1)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"event": "epo')
    assert "is cut off and left out" in render_report(folder)


@pytest.mark.parametrize("kept", ["config.yaml", "metrics.jsonl", "model.json", "evaluation.json"])
def test_any_one_file_of_a_run_gives_a_page(fake_run, tmp_path, kept):
    folder = tmp_path / "young"
    folder.mkdir()
    (folder / kept).write_bytes((fake_run(videos=1) / kept).read_bytes())
    page = Page(render_report(folder))
    assert page.data["explorer"]["videos"] == []
    assert "There are no detections, scores or ground truth yet." in page.text


def test_of_one_modality_the_other_is_not_named(fake_run):
    folder = fake_run(videos=2)
    evaluation = json.loads((folder / "evaluation.json").read_text())
    stages = [stage for stage in evaluation["stages"] if stage["stage"] == "cbp-warmup"]
    (folder / "evaluation.json").write_text(json.dumps({"protocol": "p", "stages": stages}))
    (folder / "scores" / "vlp.safetensors").unlink()
    for path in (folder / "detections").glob("[ve]*.json"):
        path.unlink()
    page = Page(render_report(folder))
    assert "CBP score" in page.text
    assert "VLP score" not in page.text
    assert "learn from each other" not in page.text


def test_the_page_is_written_into_the_run_or_where_it_is_asked_for(fake_run, tmp_path):
    folder = fake_run(videos=1)
    assert write_report(folder).path == folder / "report.html"
    assert (
        write_report(folder, tmp_path / "out" / "page.html")
        .path.read_text()
        .startswith("<!doctype")
    )


def test_the_command_prints_the_path(fake_run, tmp_path):
    target = tmp_path / "page.html"
    result = CliRunner().invoke(command, [str(fake_run(videos=1)), "--out", str(target)])
    assert (result.exit_code, result.output) == (0, f"{target}\n")
    assert target.stat().st_size > 10_000


def test_a_folder_that_is_no_run_ends_the_command_with_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["report", str(tmp_path)])
    assert caught.value.code == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "report.html").exists()


def test_a_failed_report_leaves_the_old_page(fake_run):
    folder = fake_run(videos=1)
    write_report(folder)
    before = (folder / "report.html").read_bytes()
    (folder / "evaluation.json").write_text("{")
    with pytest.raises(DuetalError):
        write_report(folder)
    assert (folder / "report.html").read_bytes() == before


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ("/data/sets/thumos14", "…/thumos14"),
        ("C:\\\\data\\\\thumos14", "…/thumos14"),
        ("~/sets/thumos14", "…/thumos14"),
        ("data/thumos14", "data/thumos14"),
        ("/sets/My Name/a", "…/a"),
        ("read and/or written at 3 km/h", "read and/or written at 3 km/h"),
        ("from /data/a/b.pt: lost, and (~/c/d.pt)", "from …/b.pt: lost, and (…/d.pt)"),
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("s3://bucket/store", "s3://bucket/store"),
    ],
)
def test_no_path_of_the_machine_is_on_a_page(fake_run, place, shown):
    folder = fake_run(videos=1)
    (folder / "config.yaml").write_text(f'data: {{dataset: "{place}"}}\n')
    assert f"<dd>{shown}</dd>" in render_report(folder)
    assert str(folder.parent) not in write_report(folder).path.read_text()


def test_a_page_has_the_title_that_was_chosen(fake_run, tmp_path):
    folder = fake_run(videos=1)
    for words in ([folder], [folder / "detections" / "cbp-f2.json", *truth_options(folder)]):
        out = tmp_path / f"{len(words)}.html"
        done = CliRunner().invoke(
            command, [*map(str, words), "--out", str(out), "--title", "Take <2>"]
        )
        assert done.exit_code == 0, done.output
        page = out.read_text()
        assert "<h1>Take &lt;2&gt;</h1>" in page
        assert "<title>Take &lt;2&gt; · duetal report</title>" in page


def truth_options(folder):
    return ["--annotations", folder / "ground_truth.json", "--protocol", "seconds"]


def test_what_a_page_has_no_room_for_is_told(fake_run, tmp_path, monkeypatch):
    monkeypatch.setattr("duetal.pages.explorer.MAX_ROWS", 10)
    folder = fake_run(videos=2)
    for words in ([folder], [folder / "detections" / "cbp-f2.json", *truth_options(folder)]):
        out = tmp_path / f"{len(words)}.html"
        done = CliRunner().invoke(command, [*map(str, words), "--out", str(out)])
        assert "note: To keep this page small it holds the highest-scoring" in done.output
        assert "holds the highest-scoring predictions" in out.read_text()


@pytest.mark.parametrize(
    ("choices", "told"),
    [
        (None, []),
        ([], []),
        (
            [
                {"values": {"cbp.levels": 3, "b_weight": 0.1}, "reason": "F1 < chance", "new": 1},
                {"values": {"losses.class_ratios": [2, 8.5]}, "reason": "see /data/x/log"},
            ],
            [
                "<b>cbp.levels = 3</b>, <b>b_weight = 0.1</b>: F1 &lt; chance",
                "<b>losses.class_ratios = 2, 8.5</b>: see …/log",
            ],
        ),
    ],
)
@pytest.mark.parametrize("make", ["fake_run", "fake_seeds"])
def test_the_page_tells_how_settings_were_chosen(request, make, choices, told):
    folder = request.getfixturevalue(make)(videos=1)
    if choices is not None:
        place = folder / "seed-0" if make == "fake_seeds" else folder
        (place / "choices.json").write_text(json.dumps({"choices": choices}))
    html = render_report(folder)
    assert ("How the settings were chosen" in html) == bool(told)
    assert re.findall(r"<li>(<b>.*)</li>", html) == told
