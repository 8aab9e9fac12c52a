"""The moving average of a network's weights over its updates.

It lies in the optimizer's state, so that a resumed training has it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_AVERAGE = "average"


def average_weights(optimizer: torch.optim.Optimizer, decay: float) -> None:
    """Update the moving average of every parameter, after a step.

    In the n-th step the decay is (1 + n)/(10 + n) at most, so that the first weights do not last.
    A parameter that had no part in the step has none in this.
    """
    for parameter, state in optimizer.state.items():
        if parameter.grad is None:
            continue
        step = float(state["step"])
        if _AVERAGE not in state:
            state[_AVERAGE] = parameter.detach().clone()
        state[_AVERAGE].lerp_(parameter.detach(), 1 - min(decay, (1 + step) / (10 + step)))


def take_averages(optimizer: torch.optim.Optimizer) -> None:
    """Set every parameter to its moving average."""
    with torch.no_grad():
        for parameter, state in optimizer.state.items():
            if _AVERAGE in state:
                parameter.copy_(state[_AVERAGE])


@contextmanager
def averaged(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Exchange every parameter with its moving average for the block."""

    def exchange() -> None:
        for parameter, state in optimizer.state.items():
            if _AVERAGE in state:
                parameter.data, state[_AVERAGE] = state[_AVERAGE], parameter.data

    exchange()
    try:
        yield
    finally:
        exchange()
