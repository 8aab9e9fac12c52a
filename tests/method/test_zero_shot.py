"""Where a class is said to fire, against quantiles of all cosines at once."""

import numpy as np
import pytest
from pydantic import ValidationError

from duetal.method.zero_shot import ZeroShotSettings, firing_cosines, unit


@pytest.mark.parametrize("share", [0.05, 0.5])
@pytest.mark.parametrize("calibration", [None, 0.0, 6.0])
def test_a_share_of_the_snippets_fires(in_memory, share, calibration) -> None:
    random = np.random.default_rng(0)
    videos = {f"v{i}": random.normal(size=(40 + i, 8)).astype(np.float32) + 0.5 for i in range(6)}
    videos["v3"][:5] = 0  # no direction
    text = unit(random.normal(size=(3, 8)).astype(np.float32))
    settings = ZeroShotSettings(firing_share=share, calibration_videos=calibration)
    found = firing_cosines(in_memory(videos), list(videos), text, settings)
    cosines = np.concatenate([unit(x) @ text.T for x in videos.values()])
    own, whole = np.quantile(cosines, 1 - share, axis=0), np.quantile(cosines, 1 - share)
    weight = {None: 0.0, 0.0: 1.0, 6.0: 0.5}[calibration]
    # A quantile lies between two values.
    np.testing.assert_allclose(found, weight * own + (1 - weight) * whole, atol=0.02)
    if calibration is None:
        assert (cosines > found).mean() == pytest.approx(share, abs=0.01)


def test_a_template_has_a_place_for_the_words() -> None:
    with pytest.raises(ValidationError, match=r"has no \{\} for the class's words"):
        ZeroShotSettings(templates=("a video",))
