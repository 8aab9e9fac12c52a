"""Combining the two branches' probabilities."""

import numpy as np
import pytest

from duetal.core.errors import DuetalError
from duetal.localization.ensemble import combine_branches
from duetal.localization.localization_settings import LocalizationSettings

CBP = np.array([[0.0, 0.2], [1.0, 0.2], [0.5, 0.2]], dtype=np.float32)
VLP = np.array([[0.6, 0.0], [0.5, 0.4], [0.4, 0.2]], dtype=np.float16)


@pytest.mark.parametrize(
    ("weight", "expected"),
    [
        (0.0, CBP),
        (1.0, VLP),
        (0.5, [[0.3, 0.1], [0.75, 0.3], [0.45, 0.2]]),
        (0.25, [[0.15, 0.15], [0.875, 0.25], [0.475, 0.2]]),
    ],
)
def test_weighted_mean(weight, expected):
    combined = combine_branches(
        {"cbp": CBP, "vlp": VLP}, LocalizationSettings(ensemble_weight=weight)
    )
    np.testing.assert_allclose(combined, expected, atol=1e-3)


def test_min_max_gives_both_shapes_their_weight_and_keeps_the_mean_level():
    combined = combine_branches(
        {"cbp": CBP, "vlp": VLP}, LocalizationSettings(ensemble_mean="min_max")
    )
    # First class: shapes 0 1 ½ and 1 ½ 0, range from (0 + 0.4) / 2 to (1 + 0.6) / 2.
    # Second class: CBP is flat; VLP's shape 0 1 ½ has half the weight.
    expected = [[0.2 + 0.6 * 0.5, 0.1], [0.2 + 0.6 * 0.75, 0.2], [0.2 + 0.6 * 0.25, 0.15]]
    np.testing.assert_allclose(combined, expected, atol=1e-3)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_min_max_of_a_branch_with_itself_changes_nothing(weight):
    chosen = LocalizationSettings(ensemble_weight=weight, ensemble_mean="min_max")
    np.testing.assert_allclose(
        combine_branches({"a": CBP[:, :1], "b": CBP[:, :1]}, chosen), CBP[:, :1]
    )


@pytest.mark.parametrize("mean", ["probability", "min_max"])
def test_video_level_probabilities_are_averaged_as_they_are(mean):
    chosen = LocalizationSettings(ensemble_mean=mean)
    combined = combine_branches({"a": np.array([0.2, 0.8]), "b": np.array([0.6, 0.8])}, chosen)
    np.testing.assert_allclose(combined, [0.4, 0.8])


@pytest.mark.parametrize("mean", ["probability", "min_max"])
def test_a_video_without_snippets(mean):
    chosen = LocalizationSettings(ensemble_mean=mean)
    assert combine_branches({"a": CBP[:0], "b": VLP[:0]}, chosen).shape == (0, 2)


def test_shapes_that_differ_name_the_video():
    with pytest.raises(DuetalError, match=r"^video 'clip': .*\(3, 2\).*\(2, 2\)"):
        combine_branches({"cbp": CBP, "vlp": VLP[:2]}, LocalizationSettings(), name="clip")


def test_log_odds_are_averaged() -> None:
    cbp, vlp = np.array([[0.9], [0.5], [0.0]]), np.array([[0.5], [0.1], [1.0]])
    settings = LocalizationSettings(ensemble_weight=0.25, ensemble_mean="log_odds")
    odds = np.array([9**0.75 * 1, 1 * (1 / 9) ** 0.25])
    both = combine_branches({"cbp": cbp, "vlp": vlp}, settings)[:, 0]
    assert both[:2] == pytest.approx(odds / (1 + odds))
    assert 0 < both[2] < 1


def test_a_third_branch_shares_the_weight_of_the_second() -> None:
    audio = np.full_like(CBP, 0.8)
    settings = LocalizationSettings(ensemble_weight=0.5)
    combined = combine_branches({"cbp": CBP, "vlp": VLP, "audio": audio}, settings)
    np.testing.assert_allclose(combined, 0.5 * CBP + 0.25 * VLP + 0.25 * audio, atol=1e-6)
