"""The page of a review in a real browser: what a person sees and does, by keys and by pointer."""

import json
import os

import pytest
from browsing import ask, browser

from duetal.review.open_review import open_review

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
__all__ = ["browser"]

OPEN, ACCEPTED, REJECTED = "open", "accepted", "rejected"
#: By start, as they are at first; the last is hidden by its score.
FIRST = [
    ("HighJump", 0.5, 2.0, OPEN), ("Diving", 1.5, 3.0, OPEN), ("HighJump", 2.5, 4.0, OPEN),
    ("Diving", 6.0, 7.0, OPEN),
]  # fmt: skip


@pytest.fixture
def visit(browser):
    """Open a served review in a window; at the end nothing may have been complained of.

    `page.expected` are parts of complaints that the test brings about.
    """
    windows = []

    def open_window(served, **settings):
        settings.setdefault("viewport", {"width": 1200, "height": 1000})
        page = browser.new_page(**settings)
        page.expected, page.complaints, page.asked = [], [], []
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("dialog", lambda dialog: page.complaints.append(f"dialog {dialog.message}"))
        page.on("request", lambda request: page.asked.append(request.url))
        page.set_default_timeout(20_000)
        page.goto(served.address)
        page.wait_for_selector("body[data-ready]")
        windows.append((page, served))
        return page

    yield open_window
    for page, served in windows:
        own = (f"http://127.0.0.1:{served.port}/", "data:", "blob:")
        assert [url for url in page.asked if not url.startswith(own)] == []
        left = [text for text in page.complaints if not any(e in text for e in page.expected)]
        assert left == []
        page.close()


def stated(served, video=0, kind="action"):
    """What is saved of a video: label, start, end and verdict by start."""
    state = served.service.corrections.state(served.service.names[video])
    found = [s for s in state.values() if s.kind == kind]
    return sorted((s.label, s.start, s.end, str(s.verdict)) for s in found)


#: Keys that save, where others follow. Each is waited for: the next one's answer would be taken for
#: its own.
SAVING = {"a", "Control+z"}


def press(page, keys):
    """Press keys, of which others follow."""
    for key in keys:
        if key not in SAVING:
            page.keyboard.press(key)
            continue
        with page.expect_response(lambda answer: "/act" in answer.url) as answer:
            page.keyboard.press(key)
        answer.value.finished()


def saves(page, keys):
    """Press keys, and wait until what the last of them does has been saved."""
    press(page, keys[:-1])
    with page.expect_response(lambda answer: "/act" in answer.url) as answer:
        page.keyboard.press(keys[-1])
    answer.value.finished()
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    return answer.value.status


def seek(page, seconds):
    page.evaluate(
        """(to) => { const video = document.getElementById('video'); video.currentTime = to; }""",
        seconds,
    )
    page.wait_for_function("() => !document.getElementById('video').seeking")


def changed(*changes):
    """The first statements, but for some: a place's statement is another, or is gone."""
    rows = dict(enumerate(FIRST)) | dict(changes)
    return sorted(row for row in rows.values() if row)


@pytest.mark.parametrize(
    ("keys", "at", "expected"),
    [
        ("n a", None, changed((0, ("HighJump", 0.5, 2.0, ACCEPTED)))),
        ("n x", None, changed((0, ("HighJump", 0.5, 2.0, REJECTED)))),
        ("n Delete", None, changed((0, ("HighJump", 0.5, 2.0, REJECTED)))),
        ("n Shift+A", None, changed(*((i, (*FIRST[i][:3], ACCEPTED)) for i in range(3)))),
        ("n Shift+N a", None, changed(*((i, (*FIRST[i][:3], ACCEPTED)) for i in range(2)))),
        # By key 1 and 2 a class is given; by the playhead an edge.
        ("n 2", None, changed((0, ("Diving", 0.5, 2.0, ACCEPTED)))),
        ("n | i", 1.0, changed((0, ("HighJump", 1.0, 2.0, ACCEPTED)))),
        ("n | o", 1.0, changed((0, ("HighJump", 0.5, 1.0, ACCEPTED)))),
        ("n | s", 1.0, changed((0, ("HighJump", 0.5, 1.0, ACCEPTED)),
                               (9, ("HighJump", 1.0, 2.0, ACCEPTED)))),
        ("n j", None, changed((0, ("HighJump", 0.5, 4.0, ACCEPTED)), (2, None))),
        ("| 2 t", 5.0, changed((9, ("Diving", 5.0, 5.0, ACCEPTED)))),
        ("| d Shift+ArrowRight d", 5.0, changed((9, ("HighJump", 5.0, 6.0, ACCEPTED)))),
        ("n a p x", None, changed((0, ("HighJump", 0.5, 2.0, REJECTED)))),
        ("e", None, changed(*((i, (*FIRST[i][:3], REJECTED)) for i in range(4)))),
        ("n a z", None, sorted(FIRST)),
        ("n a Control+z y", None, changed((0, ("HighJump", 0.5, 2.0, ACCEPTED)))),
    ],
)  # fmt: skip
def test_every_action_has_a_key(served, visit, keys, at, expected):
    page = visit(served)
    before, bar, after = keys.partition("|")
    press(page, before.split() if bar else before.split()[:-1])
    if bar:
        seek(page, at)
    assert saves(page, after.split() if bar else before.split()[-1:]) == 200
    found = [(la, round(start, 1), round(end, 1), v) for la, start, end, v in stated(served)]
    assert found == expected
    assert page.inner_text("#saved").startswith("Saved: ")
    if keys == "e":
        assert stated(served, kind="looked") == [("", 0.0, 8.0, ACCEPTED)]
        assert "looked through" in page.inner_text("#about")


def test_an_edge_is_dragged(served, visit):
    page = visit(served)
    page.keyboard.press("n")
    box = page.locator(".grip.end").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y, steps=4)
    with page.expect_response("**/act"):
        page.mouse.up()
    label, start, end, verdict = stated(served)[-2]
    assert (label, start, verdict) == ("HighJump", 0.5, ACCEPTED)
    assert 2.2 < end < 3.5
    # The page shows what was saved.
    page.wait_for_function(
        "(end) => Number(document.getElementById('edge-end').value) === end", arg=end
    )


def test_start_and_end_can_be_typed_and_the_label_chosen(served, visit):
    page = visit(served)
    page.click("#statements tbody tr:nth-child(2) button")
    with page.expect_response("**/act"):
        page.fill("#edge-start", "1.25")
        page.press("#edge-start", "Enter")
    with page.expect_response("**/act"):
        page.select_option("#label", "HighJump")
    assert ("HighJump", 1.25, 3.0, ACCEPTED) in stated(served)


def test_undo_shows_the_video_that_it_is_about(served, visit):
    page = visit(served)
    saves(page, ["n", "a"])
    page.click("#videos li:nth-child(2) button")
    assert saves(page, ["z"]) == 200
    assert page.inner_text("#title") == "first"
    assert stated(served) == sorted(FIRST)


def test_a_second_window_is_told_what_the_first_did(served, visit):
    first, second = visit(served), visit(served)
    second.expected.append("409")
    saves(first, ["n", "x"])
    assert saves(second, ["n", "a"]) == 409
    assert "another window" in second.inner_text("#trouble")
    assert second.locator("#statements tr.rejected").count() == 1
    # Once it has looked again, it can go on; and the first learns of it when it is looked at.
    assert saves(second, ["a"]) == 200
    first.evaluate("dispatchEvent(new Event('focus'))")
    first.wait_for_selector("#statements tr.accepted")


def test_a_window_that_is_closed_while_saving_loses_nothing(served, visit):
    page = visit(served)
    page.keyboard.press("n")
    page.evaluate("""() => {
        document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'a', bubbles: true }));
        location.href = 'about:blank';
    }""")
    page.wait_for_url("about:blank")
    page.asked.clear()
    for _ in range(100):
        if stated(served)[-2][-1] == ACCEPTED:
            return
        page.wait_for_timeout(50)
    raise AssertionError("the action did not arrive")


def test_what_cannot_be_saved_is_not_shown_as_done(served, visit):
    page = visit(served)
    page.keyboard.press("n")
    page.route("**/act", lambda route: route.abort())
    page.expected.append("ERR_FAILED")
    page.keyboard.press("a")
    page.wait_for_selector("#trouble:not([hidden])")
    assert "Not saved: duetal review has ended" in page.inner_text("#trouble")
    assert page.locator("#statements tr.accepted").count() == 0


def test_a_hostile_name_is_text(served, visit):
    page = visit(served)
    page.click("#videos li:nth-child(2) button")
    assert page.inner_text("#title") == "<img src=x onerror=alert(1)>"
    assert page.locator("img").count() == 0
    page.wait_for_function("() => document.getElementById('video').readyState >= 2")


def test_the_lists_are_filtered(served, visit):
    page = visit(served)
    saves(page, ["n", "a"])
    rows = page.locator("#statements tbody tr")
    assert rows.count() == 3
    page.select_option("#filter-label", "Diving")
    assert rows.count() == 1
    page.fill("#floor", "0")
    assert rows.count() == 2
    page.select_option("#filter-label", "")
    page.select_option("#filter-verdict", "accepted")
    assert rows.count() == 1
    assert page.locator("#videos li:visible").count() == 1
    page.select_option("#filter-verdict", "")
    page.select_option("#filter-progress", "new")
    assert page.locator("#videos li:visible").count() == 1
    page.fill("#search", "FIRST")
    assert page.locator("#videos li:visible").count() == 0


def test_a_class_is_renamed_and_added_on_the_page(served, visit):
    page = visit(served)
    page.click("summary:has-text('Classes')")
    with page.expect_response("**/act"):
        page.fill("#classes li:nth-child(2) input", "Dive")
        page.press("#classes li:nth-child(2) input", "Enter")
    with page.expect_response("**/act"):
        page.fill("#new-class", "Running")
        page.press("#new-class", "Enter")
    assert served.service.review.classes == ("HighJump", "Dive", "Running")
    page.wait_for_function("() => document.getElementById('label').options.length === 3")
    assert {label for label, *_ in stated(served, 1)} == {"HighJump", "Dive"}


def test_it_goes_out_and_comes_in_again_on_the_page(served, visit, tmp_path):
    page = visit(served)
    saves(page, ["n", "a"])
    page.click("summary:has-text('Out, and in again')")
    page.select_option("#form", "activitynet")
    with page.expect_download() as download:
        page.click("#export")
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    known = json.loads(path.read_text())
    known["database"]["first"]["annotations"][0]["label"] = "Leap"
    path.write_text(json.dumps(known))
    with page.expect_response("**/import*"):
        page.set_input_files("#import", path)
    assert ("Leap", 0.5, 2.0, ACCEPTED) in stated(served)
    page.wait_for_selector("text=Saved: import")


@pytest.fixture
def unlabelled(place, serve):
    """A review that begins from nothing but two classes."""
    clips = [os.fspath(place / "clips")]
    return serve(open_review(place / "new", None, clips, classes=["HighJump", "Diving"]))


def test_labels_come_first_one_key_each(unlabelled, visit):
    page = visit(unlabelled)
    assert page.is_visible("#labels")
    page.wait_for_function("() => !document.getElementById('video').paused")
    first = page.inner_text("#title")
    # Keys that would correct actions do nothing here.
    for key in "e9t":
        page.keyboard.press(key)
    assert saves(page, ["2", "Enter"]) == 200
    assert stated(unlabelled, kind="looked") == stated(unlabelled) == []
    page.wait_for_function(
        "(name) => document.getElementById('title').textContent !== name", arg=first
    )
    assert saves(page, ["1", "2", "1", "Enter"]) == 200
    index = unlabelled.service.names.index(first)
    expected = [("Diving", 0.0, 0.0, ACCEPTED), ("HighJump", 0.0, 0.0, REJECTED)]
    assert stated(unlabelled, index, "label") == expected
    assert stated(unlabelled, 1 - index, "label") == expected
    # What was said is shown again, and a new label is offered for all videos.
    page.keyboard.press("Backspace")
    page.wait_for_selector(".chip[aria-pressed='true'] >> text=Diving")
    page.fill("#new-label", "Running")
    with page.expect_response("**/act"):
        page.press("#new-label", "Enter")
    page.wait_for_selector(".chip[aria-pressed='true'] >> text=Running")
    page.focus("#player")
    assert saves(page, ["Enter"]) == 200
    assert "2 of 2 videos labelled" in page.inner_text("#overview")
    page.keyboard.press("w")
    assert page.is_visible("#timeline")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1200])
def test_it_can_be_read_and_operated_by_everybody(served, unlabelled, visit, scheme, width):
    for review in (served, unlabelled):
        page = visit(review, color_scheme=scheme, viewport={"width": width, "height": 800})
        if review is served:
            saves(page, ["n", "a"])
        page.eval_on_selector_all("details", "all => all.forEach((each) => { each.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert ask(page, "faintText()") == []
        assert ask(page, "nameless()") == []
        assert ask(page, "dangling()") == []
        assert page.locator("main").count() == page.locator("h1").count() == 1
        for name, role in {"#saved": "status", "#trouble": "alert", "#timeline": "slider"}.items():
            assert page.get_attribute(name, "role") == role


def test_what_is_chosen_and_done_is_read_out(served, visit):
    page = visit(served)
    page.keyboard.press("n")
    assert page.inner_text("#announce") == "HighJump, 0.5 s to 2.0 s, proposed, score 0.90"
    saves(page, ["a"])
    assert page.inner_text("#announce") == "accept: HighJump, 0.5 s"
    slider = page.get_attribute("#timeline", "aria-valuetext")
    assert slider.startswith("1.5 s, of 8.0 s")


def test_what_to_look_at_next_is_shown_with_its_reason(served, visit):
    page = visit(served)
    page.wait_for_selector("#next li")
    assert "CBP and VLP disagree" in page.inner_text("#next-basis")
    assert page.locator("#next li").count() == 3
    gone_to = []
    for _ in range(2):
        shown = page.inner_text("#announce")
        page.keyboard.press("g")
        page.wait_for_function(
            "(shown) => document.getElementById('announce').innerText !== shown", arg=shown
        )
        why, title = page.inner_text("#why"), page.inner_text("#title")
        label = why.partition(",")[0]
        assert f"the branches disagree about {label} at " in why
        assert "CBP 0.00, VLP 1.00" in why
        # Read out, and shown: the class whose curves are drawn, and its proposal.
        assert page.inner_text("#announce") == f"{label} in {title}, {why.partition(', ')[2][:-1]}"
        assert page.input_value("#label") == label
        gone_to.append((title, label))
    assert len(set(gone_to)) == 2
    # Looked through for the class, it is not shown again; the order is made anew.
    title, label = gone_to[1]
    listed = page.locator("#next .name").all_inner_texts()
    with page.expect_response("**/next"):
        assert saves(page, ["Shift+E"]) == 200
    page.wait_for_function(
        """(before) => [...document.querySelectorAll('#next .name')]
            .map((each) => each.innerText).join() !== before.join()""",
        arg=listed,
    )
    video = served.service.names.index(title)
    # To where the scores end.
    assert stated(served, video, "looked") == [(label, 0.0, 7.68, ACCEPTED)]
    assert {row[3] for row in stated(served, video) if row[0] == label} == {REJECTED}
    assert {row[3] for row in stated(served, video) if row[0] != label} == {OPEN}
    assert "looked through" not in page.inner_text("#about")
    # Another video has no reason; by its button one has.
    other = 2 - video
    page.click(f"#videos li:nth-child({other}) button")
    assert page.is_hidden("#why")
    page.click("#next li:nth-child(1) button")
    assert page.is_visible("#why")
    assert page.locator("#next li:nth-child(1) .why").inner_text() in page.inner_text("#why")


def test_rounds_of_training_are_shown_and_what_hinders_one_is_told(served, visit):
    folder = served.service.review.folder / "rounds"
    gain = {
        "headline": "0.1:0.7",
        "before": 0.3,
        "after": 0.41,
        "low": -0.02,
        "high": 0.2,
        "videos": 5,
    }
    about = {"start": "", "told": "2 videos: 3 labels", "commands": [], "began": 0, "seconds": 200}
    for number, ended in enumerate(
        ({"state": "done", "gain": gain}, {"state": "failed", "cause": "d.csv: <b>bad</b>"}),
        start=1,
    ):
        (folder / str(number)).mkdir(parents=True)
        text = json.dumps({"number": number, **about, **ended})
        (folder / str(number) / "round.json").write_text(text)
    page = visit(served)
    page.expected.append("422")
    page.wait_for_selector("#rounds li:nth-child(3)")
    first, done, failed = page.locator("#rounds li").all()
    assert first.inner_text().startswith("What the review began with (shown)")
    measured = "mAP 0.1:0.7 on 5 held-out videos 30.0 → 41.0 %, +11.0 (95 % interval −2.0 to +20.0)"
    assert measured in done.inner_text()
    assert "failed: d.csv: <b>bad</b>" in failed.inner_text()
    assert page.is_visible("#train-on")
    page.click("#train")
    page.wait_for_selector("#trouble:not([hidden])")
    assert "name the folder of the videos" in page.inner_text("#trouble")
    # A round that has found nothing cannot be shown, and nothing changes.
    with page.expect_response("**/train"):
        done.get_by_role("button").click()
    page.wait_for_function("() => document.getElementById('trouble').innerText.includes('nothing')")
    assert stated(served) == sorted(FIRST)
