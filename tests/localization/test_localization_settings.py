"""Settings refuse impossible values by name."""

import math

import pytest

from duetal.core.errors import UsageError
from duetal.localization.localization_settings import LocalizationSettings


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("class_threshold", 1.2),
        ("class_threshold", math.nan),
        ("class_threshold", "high"),
        ("class_threshold", True),
        ("thresholds", ()),
        ("thresholds", 0.5),
        ("thresholds", "0.5"),
        ("thresholds", (0.1, -0.5)),
        ("thresholds", (0.1, None)),
        ("scoring", "median"),
        ("margin", -0.1),
        ("margin", math.inf),
        ("nms_method", "median"),
        ("nms_sigma", 0),
        ("nms_iou_threshold", 1.01),
        ("min_score", -1),
        ("max_per_class", 0),
        ("max_per_class", 2.5),
        ("ensemble_weight", 1.5),
        ("ensemble_mean", "softmax"),
    ],
)
def test_an_impossible_value_names_the_setting(setting, value):
    with pytest.raises(UsageError, match=f"^localization.{setting}: "):
        LocalizationSettings().replace(**{setting: value})


def test_thresholds_read_from_a_file_are_a_list():
    assert LocalizationSettings(thresholds=[0.1, 0.5]).thresholds == (0.1, 0.5)


def test_the_literal_preset():
    literal = LocalizationSettings().literal(0.4)
    assert literal.thresholds == (0.4,)
    assert not literal.min_max
    assert literal.scoring == "max"
    assert not literal.scale_by_video_probability
