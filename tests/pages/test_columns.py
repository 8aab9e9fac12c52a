import base64

import numpy as np

from duetal.pages.columns import column, pack_labels, pack_nibbles, quantise


def decode(text, width="u1"):
    return np.frombuffer(base64.b64decode(text), width)


def test_quantising_is_exact_to_half_a_level():
    values = np.random.default_rng(0).random(1000).astype(np.float32)
    assert np.abs(decode(quantise(values, 1)) / 255 - values).max() <= 0.5 / 255 + 1e-6


def test_snippets_are_joined_by_their_maximum():
    ramp = np.linspace(0, 1, 11, dtype=np.float32)
    np.testing.assert_allclose(decode(quantise(ramp, 3)) / 255, [0.2, 0.5, 0.8, 1.0], atol=0.003)


def test_columns_keep_their_numbers_and_no_infinity():
    np.testing.assert_array_equal(decode(column(np.array([1, 70_000]), "<u4"), "<u4"), [1, 70_000])
    huge = decode(column(np.array([0.5, 1e300, -1e300]), "<f4"), "<f4")
    assert huge[0] == 0.5
    assert np.isfinite(huge).all()


def test_nibbles_are_read_back_by_row_and_threshold():
    kinds = np.random.default_rng(0).integers(0, 8, (50, 7))
    bytes_ = decode(pack_nibbles(kinds)).reshape(50, 4)
    read = [(bytes_[:, k // 2] >> (4 * (k % 2))) & 15 for k in range(7)]
    np.testing.assert_array_equal(np.stack(read, axis=1), kinds)


def test_labels_take_two_bits_each():
    labels = np.array([1, 0, -1, 1, 0], np.int8)
    packed = decode(pack_labels(labels))
    assert len(packed) == 2
    read = [(packed[t // 4] >> (2 * (t % 4))) & 3 for t in range(5)]
    assert read == (labels + 1).tolist()
