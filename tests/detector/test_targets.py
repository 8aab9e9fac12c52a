"""What positions of the pyramid are to predict."""

import torch

from duetal.detector.detector_settings import DetectorSettings
from duetal.detector.pseudo_segments import PseudoSegment
from duetal.detector.pyramid import position_grid
from duetal.detector.targets import assign

SETTINGS = DetectorSettings(scales=3)


def segment(
    start: float, end: float, confidence: float = 1.0, spread: float = 0.2
) -> PseudoSegment:
    return PseudoSegment(1, start, end, confidence, spread, spread)


def test_the_scale_fits_the_length() -> None:
    _, stride = position_grid(32, 3)
    for length, expected in ((3.0, 1.0), (12.0, 4.0)):
        targets = assign([segment(10, 10 + length)], 0, 32, 2, SETTINGS)
        assert targets.classes[:, 1].sum() > 0
        assert expected in stride[targets.classes[:, 1] > 0]
        assert targets.classes[:, 0].sum() == 0


def test_the_place_is_that_of_the_crop() -> None:
    whole = assign([segment(20.4, 24.6)], 0, 32, 2, SETTINGS)
    crop = assign([segment(20.4, 24.6)], 16, 16, 2, SETTINGS)
    found = whole.border_weight > 0
    assert torch.allclose(whole.borders[found][0], torch.tensor([20.4, 24.6]))
    assert torch.allclose(crop.borders[crop.border_weight > 0][0], torch.tensor([4.4, 8.6]))


def test_an_unsure_border_and_one_outside_the_crop_are_not_taught() -> None:
    unsure = assign([segment(10, 14, spread=9.0)], 0, 32, 2, SETTINGS)
    assert not unsure.sure.any()
    cut = assign([segment(-2, 4)], 0, 32, 2, SETTINGS)
    rows = cut.border_weight > 0
    assert cut.sure[rows].tolist()[0] == [False, True]


def test_weak_segments_are_ignored_and_the_weakest_are_background() -> None:
    centre, _ = position_grid(32, 3)
    inside = (centre > 10) & (centre < 14)
    ignored = assign([segment(10, 14, confidence=0.2)], 0, 32, 2, SETTINGS)
    assert ignored.classes.sum() == 0
    assert (ignored.class_weight[inside, 1] == 0).all()
    nothing = assign([segment(10, 14, confidence=0.01)], 0, 32, 2, SETTINGS)
    assert (nothing.class_weight == 1).all()
