"""`duetal backbones`: which networks features can be made with."""

import click

from duetal.cli.main import NearestGroup
from duetal.cli.terminal import say


@click.group("backbones", cls=NearestGroup)
def command() -> None:
    """List the networks that features can be made with."""


@command.command("ls")
def list_backbones() -> None:
    """List every backbone that has a short name, for --cbp or --vlp of `duetal extract`.

    The core-seconds are those that its network takes for an hour of video on one core of this
    machine, estimated from its arithmetic and a matrix product that is timed here; I3D's do not
    include the flow, which takes longer. Any model of these families on the hub or in a folder can
    be named instead.
    """
    from duetal.backbones.presets import I3D, PRESETS
    from duetal.extraction.networks import core_seconds

    lines = [
        ("name", "for", "reads", "dim", "frames", "core-s/h", "licence", "model"),
        (I3D, "cbp", "video, flow", "2048", "16", f"{core_seconds(I3D):,.0f}",
         "Apache-2.0", "i3d-rgb-kinetics, i3d-flow-kinetics"),
    ]  # fmt: skip
    for one in PRESETS.values():
        branches = "cbp, vlp" if one.has_text else "cbp"
        frames = f"{one.input.seconds:g} s" if one.kind == "sound" else str(one.input.frames)
        cost = f"{core_seconds(one.name):,.0f}"
        described = (one.name, branches, one.kind, str(one.dim), frames, cost)
        lines.append((*described, one.licence, one.hub))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        say("  ".join(f"{cell:<{w}}" for cell, w in zip(line, widths, strict=True)).rstrip())
