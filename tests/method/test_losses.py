"""Each loss against a plain loop over its definition."""

import math

import pytest
import torch
from torch import Tensor

from duetal.method import losses
from duetal.method.losses import LossSettings, Predictions, VideoLoss
from duetal.method.pseudo_labels import BACKGROUND, FOREGROUND, IGNORED

LENGTHS = (9, 4, 1, 6)
K = 3


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def made_up(seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits, mask, labels and pseudo-labels; one video has no confident snippet at all."""
    torch.manual_seed(seed)
    logits = 2 * torch.randn(len(LENGTHS), 9, K)
    mask = torch.arange(9) < torch.tensor(LENGTHS)[:, None]
    labels = torch.tensor([[1.0, 0, 0], [1, 1, 0], [0, 0, 1], [0, 1, 0]])
    pseudo = torch.randint(-1, 2, (len(LENGTHS), 9, K), dtype=torch.int8)
    pseudo = torch.where(labels[:, None, :] > 0, pseudo, BACKGROUND)
    pseudo[3] = IGNORED
    # What lies behind a video's end must not matter, whatever it holds.
    pseudo[~mask] = FOREGROUND
    return logits, mask, labels, pseudo


@pytest.mark.parametrize("kind", list(VideoLoss))
@pytest.mark.parametrize("ratio", [1, 4, 8])
def test_classification(kind: VideoLoss, ratio: int) -> None:
    logits, mask, labels, _ = made_up()
    got = losses.classification(
        Predictions(logits, logits, mask, labels),
        LossSettings(topk_ratio=ratio, video_loss=kind),
    )
    for row, length in enumerate(LENGTHS):
        pooled = []
        for k in range(K):
            best = sorted(logits[row, :length, k].tolist(), reverse=True)
            best = best[: math.ceil(length / ratio)]
            pooled.append(sum(best) / len(best))
        truth = labels[row].tolist()
        if kind is VideoLoss.BCE:
            each = [
                -math.log(sigmoid(z) if y else 1 - sigmoid(z))
                for z, y in zip(pooled, truth, strict=True)
            ]
            expected = sum(each) / len(each)
        else:
            total = sum(math.exp(z) for z in pooled)
            target = [y / sum(truth) for y in truth]
            expected = -sum(
                y * math.log(math.exp(z) / total) for z, y in zip(pooled, target, strict=True)
            )
        assert got[row].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("balance", [False, True])
@pytest.mark.parametrize(("foreground", "background"), [(True, True), (True, False), (False, True)])
def test_distillation(foreground: bool, background: bool, balance: bool) -> None:
    logits, mask, labels, pseudo = made_up()
    chosen = {"foreground": foreground, "background": background}
    distils = [name for name, is_distilled in chosen.items() if is_distilled]
    batch = Predictions(logits, logits, mask, labels, pseudo, distils)
    got = losses.distillation(batch, LossSettings(balance_sets=balance))
    for row, length in enumerate(LENGTHS):
        sets: dict[str, list[float]] = {"foreground": [], "background": [], "absent": []}
        for t in range(length):
            for k in range(K):
                p = sigmoid(logits[row, t, k].item())
                if pseudo[row, t, k] == FOREGROUND and foreground:
                    sets["foreground"].append(-math.log(p))
                if pseudo[row, t, k] == BACKGROUND and background:
                    kind = "background" if labels[row, k] else "absent"
                    sets[kind].append(-math.log(1 - p))
        full = [values for values in sets.values() if values]
        if not full:
            expected = 0.0
        elif balance:
            expected = sum(sum(values) / len(values) for values in full) / len(full)
        else:
            expected = sum(map(sum, full)) / sum(map(len, full))
        assert got[row].item() == pytest.approx(expected, rel=1e-5)
    assert got[3] == 0


def test_distillation_is_the_kl_divergence() -> None:
    """KL(h ‖ p) of Bernoulli variables, by torch's own distributions."""
    logits, mask, labels, pseudo = made_up()
    student = torch.distributions.Bernoulli(logits=logits)
    teacher = torch.distributions.Bernoulli(probs=(pseudo == FOREGROUND).float())
    divergence = torch.distributions.kl_divergence(teacher, student)
    member = (pseudo != IGNORED) & mask[..., None]
    expected = (divergence * member).sum((1, 2)) / member.sum((1, 2)).clamp(min=1)
    batch = Predictions(logits, logits, mask, labels, pseudo, ("foreground", "background"))
    got = losses.distillation(batch, LossSettings(balance_sets=False))
    torch.testing.assert_close(got, expected)


def test_distillation_bears_extreme_logits() -> None:
    logits, mask, labels, pseudo = made_up()
    for scale in (1e4, -1e4):
        extreme = (scale * logits).requires_grad_()
        batch = Predictions(extreme, logits, mask, labels, pseudo, ("foreground", "background"))
        loss = losses.distillation(batch, LossSettings(balance_sets=True))
        loss.sum().backward()
        assert torch.isfinite(loss).all()
        assert extreme.grad is not None
        assert torch.isfinite(extreme.grad).all()


def test_contrast() -> None:
    _, mask, labels, pseudo = made_up()
    torch.manual_seed(1)
    encoded = torch.randn(len(LENGTHS), 9, 5)
    got = losses.contrast(Predictions(encoded, encoded, mask, labels, pseudo), LossSettings())
    compared = 0
    for row, length in enumerate(LENGTHS):
        unit = [encoded[row, t] / encoded[row, t].norm() for t in range(length)]
        present = [k for k in range(K) if labels[row, k]]
        inside = [t for t in range(length) if any(pseudo[row, t, k] == 1 for k in present)]
        outside = [t for t in range(length) if all(pseudo[row, t, k] == 0 for k in present)]
        if not inside or not outside:
            assert got[row] == 0
            continue
        compared += 1
        near, far = (sum(unit[t] for t in each) for each in (inside, outside))
        near, far = near / near.norm(), far / far.norm()
        total = 0.0
        for t in inside + outside:
            margin = float(unit[t] @ near - unit[t] @ far) / 0.1
            total += -math.log(sigmoid(margin if t in inside else -margin))
        assert got[row].item() == pytest.approx(total / len(inside + outside), rel=1e-4)
    assert compared


@pytest.mark.parametrize(
    ("settings", "progress", "expected"),
    [
        (LossSettings(topk_ratio=8, pooling_warmup=0.5), 0.0, 2),
        (LossSettings(topk_ratio=8, pooling_warmup=0.5), 0.25, 4),
        (LossSettings(topk_ratio=8, pooling_warmup=0.5), 0.5, 8),
        (LossSettings(topk_ratio=8, pooling_warmup=0.5), 1.0, 8),
        (LossSettings(topk_ratio=8, pooling_warmup=0), 0.0, 8),
        (LossSettings(class_ratios=(2, 8, 1), pooling_warmup=1), 0.5, (2, 4, 2**0.5)),
    ],
)
def test_pooling_narrows_from_half_of_a_video(
    settings: LossSettings, progress: float, expected: float | tuple[float, ...]
) -> None:
    assert settings.pooling_at(progress) == pytest.approx(expected)
