"""Numbers among the options."""

import math

import click


def finite(context: click.Context, option: click.Parameter, value: float | None) -> float | None:
    """An option's callback: `nan` and `inf`, which are numbers to click, are wrong usage.

    Raises:
        click.BadParameter: the value is one of them.
    """
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is not a finite number", context, option)
    return value
