"""Which videos are held back from training."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from duetal.datasets.splitting import LEAST_HELD_BACK, LEAST_TRAINING, SHARE, hold_back

labels_of_videos = st.dictionaries(
    st.text(min_size=1, max_size=4),
    st.sets(st.sampled_from("ABC"), max_size=3),
    min_size=1,
    max_size=90,
)


def plain(videos: int, classes: str = "AB") -> dict[str, tuple[str, ...]]:
    """Videos that each carry one class, in turn."""
    return {f"v{k}": (classes[k % len(classes)],) for k in range(videos)}


def test_of_every_class_a_fifth_is_held_back() -> None:
    labels = plain(100, "ABCD")
    held = hold_back(labels)
    assert Counter(labels[name][0] for name in held) == dict.fromkeys("ABCD", round(25 * SHARE))


def test_it_depends_on_names_alone_and_not_on_their_order() -> None:
    labels = plain(60)
    backwards = dict(reversed(labels.items()))
    assert hold_back(labels) == hold_back(backwards)
    renamed = {f"other {name}": classes for name, classes in labels.items()}
    assert {f"other {name}" for name in hold_back(labels)} != hold_back(renamed)


def test_few_videos_are_all_trained_on() -> None:
    few = 2 * LEAST_TRAINING + LEAST_HELD_BACK
    assert hold_back(plain(few - 1)) == frozenset()
    assert hold_back(plain(40))
    assert hold_back(plain(LEAST_TRAINING * 4, "ABCD")) == frozenset()


def test_a_rare_class_loses_none() -> None:
    labels = plain(60) | {"rare": ("A", "Z")}
    assert "rare" not in hold_back(labels)


def test_only_candidates_are_held_back() -> None:
    labels = plain(100)
    candidates = [f"v{k}" for k in range(0, 100, 5)]
    held = hold_back(labels, candidates)
    assert held
    assert held <= set(candidates)


@given(labels_of_videos)
def test_every_class_keeps_videos_to_train_on(labels: dict[str, set[str]]) -> None:
    held = hold_back(labels)
    assert held <= labels.keys()
    assert not held or len(held) >= LEAST_HELD_BACK
    for label in "ABC":
        there = {name for name, classes in labels.items() if label in classes}
        if there & held:
            assert len(there - held) >= LEAST_TRAINING
            assert len(there & held) <= round(SHARE * len(there))
