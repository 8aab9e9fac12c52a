import unicodedata

import pytest

from duetal.core.name_matching import propose

ACCENTED = "Çüß"


@pytest.mark.parametrize(
    ("found", "known", "rule"),
    [
        (["v_a1", "v_b2"], ["a1", "b2", "c3"], "the prefix 'v_' taken off"),
        (["a1", "b2"], ["v_a1", "v_b2"], "the prefix 'v_' added"),
        (["a1.mp4", "b2.MKV"], ["a1", "b2"], "the file's suffix taken off"),
        (["v_a1.mp4"], ["a1"], "the file's suffix taken off, the prefix 'v_' taken off"),
        (["a1_rgb", "b2_rgb"], ["a1", "b2"], "the suffix '_rgb' taken off"),
        (["a1"], ["a1.mp4"], "the suffix '.mp4' added"),
        (["DIVING"], ["Diving", "Running"], "upper and lower case alike"),
        ([unicodedata.normalize("NFD", ACCENTED)], [ACCENTED], "accents of NFC and NFD"),
        (["Long_jump", "high-Jump"], ["Long Jump", "High jump"], "'_', '-' and spaces"),
        (["long jump"], ["LongJump"], "what stands between words"),
        (["V_Long_jump", "V_Shot_put"], ["long jump", "shot put"], "prefix 'v ' taken off"),
    ],
)
def test_one_rule_for_all_names(found: list[str], known: list[str], rule: str) -> None:
    proposal = propose(found, known)
    assert proposal is not None
    assert rule in proposal.rule
    assert set(proposal.names) == set(found)
    assert set(proposal.names.values()) <= set(known)


@pytest.mark.parametrize(
    ("found", "known"),
    [
        (["elsewhere"], ["here"]),
        (["a"], ["banana"]),  # a short name at the end of another
        (["a_1"], ["a-1", "a 1"]),  # either could be meant
        (["a1", "v_a1"], ["a1"]),  # taken
        (["A1", "a1"], ["a-1"]),  # two for one
        ([], ["a"]),
        (["a"], []),
    ],
)
def test_what_cannot_be_told_is_not_proposed(found: list[str], known: list[str]) -> None:
    assert propose(found, known) is None
