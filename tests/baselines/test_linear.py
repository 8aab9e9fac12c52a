"""The linear per-snippet classifier."""

import numpy as np
import pytest
import torch

from duetal.baselines import LinearSettings, guess_by_labels, train_linear
from duetal.baselines.linear import top_mean
from duetal.core.errors import DuetalError

QUICK = LinearSettings(epochs=40, learning_rate=0.03, topk_ratio=8)


def test_it_finds_in_new_videos_where_a_separable_class_is(make_toy):
    train, test = make_toy(videos=60), make_toy(videos=90)
    classifier = train_linear(train.videos, QUICK)
    right = total = 0
    # The last 30 videos have the same classes and were not trained on.
    for name in test.videos.names[60:]:
        snippets, _ = classifier.score(test.stream.read(name))
        right += ((snippets > 0.5) == test.truth[name]).sum()
        total += snippets.size
    always_background = 1 - np.mean([test.truth[n].mean() for n in test.videos.names[60:]])
    assert always_background < 0.95
    assert right / total > 0.97


def test_it_predicts_which_classes_a_video_has(toy):
    classifier = train_linear(toy.videos, QUICK)
    found = [classifier.score(toy.stream.read(name))[1] > 0.5 for name in toy.videos.names]
    assert (np.array(found) == toy.videos.labels).mean() > 0.97


def test_the_seed_fixes_the_result_and_another_changes_it(toy):
    first, again, other = (
        train_linear(toy.videos, LinearSettings(epochs=2), seed=seed) for seed in (0, 0, 1)
    )
    assert torch.equal(first.weight, again.weight)
    assert torch.equal(first.bias, again.bias)
    assert not torch.equal(first.weight, other.weight)


def test_the_random_state_of_the_caller_is_left_alone(toy):
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    train_linear(toy.videos, LinearSettings(epochs=1))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_snippet_is_scored_by_itself(toy):
    classifier = train_linear(toy.videos, LinearSettings(epochs=2))
    features = toy.stream.read("v00")
    whole, _ = classifier.score(features)
    alone = [classifier.score(features[t : t + 1])[0][0] for t in range(len(features))]
    np.testing.assert_allclose(whole, alone, rtol=1e-4, atol=1e-6)


def test_a_channel_that_never_varies_does_no_harm(toy):
    for array in toy.stream.arrays.values():
        array[:, 0] = 7.0
    classifier = train_linear(toy.videos, LinearSettings(epochs=2))
    assert torch.isfinite(classifier.weight).all()


def test_a_video_without_a_snippet_is_named(toy):
    toy.stream.arrays["v03"] = np.zeros((0, 8), dtype=np.float32)
    with pytest.raises(DuetalError, match=r"'v03'.*no snippet"):
        train_linear(toy.videos)


@pytest.mark.parametrize(
    ("ratio", "expected"), [(1, [2.0, 3.0]), (2, [3.5, 5.0]), (4, [4.0, 9.0]), (9, [4.0, 9.0])]
)
def test_pooling_takes_the_mean_of_the_highest(ratio, expected):
    logits = torch.tensor([[1.0, 9.0], [4.0, 1.0], [0.0, 1.0], [3.0, 1.0]])
    assert top_mean(logits, ratio).tolist() == expected


@pytest.mark.real
def test_it_beats_chance_on_real_sensor_sequences(real_data):
    from duetal.datasets import open_dataset
    from duetal.evaluation import evaluate
    from duetal.localization.localization_settings import LocalizationSettings
    from duetal.localization.proposals import assemble, localize_video

    dataset = open_dataset(real_data / "hapt")
    seconds = {name: dataset.annotations.videos[name].duration for name in dataset.evaluation}
    classifier = train_linear(dataset.weak())
    settings = LocalizationSettings()
    found = [
        localize_video(*classifier.score(dataset.streams["cbp"].read(name)), dataset.grid, settings)
        for name in dataset.evaluation
    ]
    detections = assemble(found, dataset.evaluation, dataset.classes)
    chance = guess_by_labels(dataset.weak(), seconds)
    learned, guessed = (
        evaluate(each, dataset.annotations, "seconds").averages["0.1:0.7"]
        for each in (detections, chance)
    )
    assert guessed > 0.04
    assert learned > 1.3 * guessed
