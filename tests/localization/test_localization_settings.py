"""Settings refuse impossible values by name."""

import math

import pytest

from duetal.core.errors import UsageError
from duetal.localization.settings import EnsembleSettings, LocalizationSettings


@pytest.mark.parametrize(
    ("kind", "setting", "value"),
    [
        (LocalizationSettings, "class_threshold", 1.2),
        (LocalizationSettings, "class_threshold", math.nan),
        (LocalizationSettings, "class_threshold", "high"),
        (LocalizationSettings, "class_threshold", True),
        (LocalizationSettings, "thresholds", ()),
        (LocalizationSettings, "thresholds", 0.5),
        (LocalizationSettings, "thresholds", "0.5"),
        (LocalizationSettings, "thresholds", (0.1, -0.5)),
        (LocalizationSettings, "thresholds", (0.1, None)),
        (LocalizationSettings, "scoring", "median"),
        (LocalizationSettings, "margin", -0.1),
        (LocalizationSettings, "margin", math.inf),
        (LocalizationSettings, "nms_method", "median"),
        (LocalizationSettings, "nms_sigma", 0),
        (LocalizationSettings, "nms_iou_threshold", 1.01),
        (LocalizationSettings, "min_score", -1),
        (LocalizationSettings, "max_per_class", 0),
        (LocalizationSettings, "max_per_class", 2.5),
        (EnsembleSettings, "vlp_weight", 1.5),
        (EnsembleSettings, "normalization", "softmax"),
    ],
)
def test_an_impossible_value_names_the_setting(kind, setting, value):
    with pytest.raises(UsageError, match=f"^{setting}: "):
        kind(**{setting: value})


def test_thresholds_read_from_a_file_are_a_list():
    assert LocalizationSettings(thresholds=[0.1, 0.5]).thresholds == (0.1, 0.5)


def test_the_literal_preset():
    literal = LocalizationSettings.literal(0.4)
    assert literal.thresholds == (0.4,)
    assert not literal.min_max
    assert literal.scoring == "max"
    assert not literal.scale_by_video_probability
