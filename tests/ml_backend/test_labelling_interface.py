import pytest

from duetal.core.errors import DuetalError
from duetal.ml_backend.labelling_interface import read_interface

CLASSES = ("Diving", "HighJump")
TIMELINE = '<TimelineLabels name="t" toName="v"><Label value="Diving"/></TimelineLabels>'
CHOICES = '<Choices name="c" toName="v" choice="multiple"><Choice value="HighJump"/></Choices>'
VIDEO = '<Video name="v" value="$clip" frameRate="30"/>'


def view(*tags: str) -> str:
    return f"<View>{''.join(tags)}</View>"


@pytest.mark.parametrize(
    ("rate", "data", "expected"),
    [
        ("", {}, 24.0),
        ('frameRate="30"', {}, 30.0),
        ('frameRate="29.97"', {"fps": 50}, 29.97),
        ('frameRate="$fps"', {"fps": 50}, 50.0),
        ('frameRate="$fps"', {"fps": "12.5"}, 12.5),
        ('frameRate="0.04"', {}, 25.0),
        # What is no rate Label Studio takes for 24.
        *(('frameRate="$fps"', {"fps": no}, 24.0) for no in (None, "", "fast", 0, -25, [25])),
        ('frameRate="$fps"', {"fps": float("inf")}, 24.0),
        ('frameRate="$fps"', {}, 24.0),
    ],
)
def test_the_rate_is_of_the_interface_or_the_task(rate, data, expected):
    interface = read_interface(view(f'<Video name="v" value="$clip" {rate}/>', TIMELINE), CLASSES)
    assert interface.rate_of(data) == expected


def test_controls_of_the_video_that_have_the_most_classes():
    text = view(
        '<Audio name="a" value="$sound"/>', VIDEO,
        '<TimelineLabels name="phases" toName="v"><Label value="x"/></TimelineLabels>', TIMELINE,
        '<Labels name="l" toName="a"><Label value="Diving"/></Labels>',
        '<Choices name="sound" toName="a"><Choice value="Diving"/></Choices>',
        '<Choices name="each" toName="v" perRegion="true"><Choice value="Diving"/></Choices>',
        CHOICES,
    )  # fmt: skip
    interface = read_interface(text, CLASSES)
    assert interface.video == "clip"
    assert interface.timeline is not None
    assert interface.choices is not None
    assert (interface.timeline.name, interface.timeline.labels) == ("t", ("Diving",))
    assert (interface.choices.name, interface.choices.labels) == ("c", ("HighJump",))
    assert interface.choices.several


def test_what_does_not_fit_is_told():
    other = TIMELINE.replace("Diving", "Divin").replace("</T", '<Label value="HighJump"/></T')
    interface = read_interface(view(VIDEO, other, TIMELINE.replace('"t"', '"u"')), CLASSES)
    assert interface.notes == (
        "<TimelineLabels name='t'> is used, and 1 more left alone",
        "<TimelineLabels name='t'>: unknown class 'Divin'; the nearest is 'Diving'; "
        "it is not predicted",
        "<TimelineLabels name='t'> has no label for 1 classes of the run: 'Diving'",
    )


def test_many_labels_that_do_not_fit_are_a_few_lines():
    labels = "".join(f'<Label value="{number}"/>' for number in range(20_000))
    interface = read_interface(view(VIDEO, TIMELINE.replace("</T", f"{labels}</T")), CLASSES)
    assert len(interface.notes) == 7
    assert "19,995 more labels are no classes" in interface.notes[5]


def test_results_have_the_alias_of_a_label():
    text = view(VIDEO, TIMELINE.replace('"Diving"', '"Jump from a tower" alias="Diving"'))
    interface = read_interface(text, CLASSES)
    assert interface.timeline is not None
    assert interface.timeline.labels == ("Diving",)


BOMB = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "lol"}">' for n in range(10))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not XML: no element found"),
        ("<View", "not XML"),
        ("<a/>", "not of Label Studio's form: it begins with 'a'"),
        (view(), "has no <Video> tag"),
        (view('<Image name="i" value="$image"/>', TIMELINE), "has no <Video> tag"),
        (view(VIDEO), "neither <TimelineLabels> nor <Choices>"),
        (view(VIDEO, TIMELINE.replace('"v"', '"w"')), "neither <TimelineLabels> nor <Choices>"),
        (view(VIDEO, TIMELINE.replace("Diving", "X")), "none of its labels is a class of the run"),
        (view('<Video name="v" value="clip.mp4"/>', TIMELINE), "value='clip.mp4'> is not underst"),
        (view(VIDEO.replace("30", "-1"), TIMELINE), "frameRate='-1'> is not understood"),
        (view(VIDEO.replace("30", "$"), TIMELINE), "frameRate='$'> is not understood"),
        (f"<!DOCTYPE v [{BOMB}]>" + view(VIDEO, "&e9;"), "a document type is refused"),
        (
            '<!DOCTYPE v [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + view("&x;"),
            "a document type is refused",
        ),
        ("<View>" * 1000, "nested too deeply"),
        ("<View>" + " " * 2**20, "is too large"),
        (view("x" * 2**17), "a text is too long"),
        (view("\ud800"), "has no <Video> tag"),
        ("<View>\0</View>", "not XML"),
    ],
)
def test_a_bad_interface_is_one_line(text, message):
    with pytest.raises(DuetalError, match=r"^labelling interface: ") as caught:
        read_interface(text, CLASSES)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
