"""`duetal serve`: a run as a backend of an annotation tool."""

import os
import time
from pathlib import Path
from typing import Any

import click

from duetal.cli.extraction_options import take_weights, weights_options
from duetal.cli.main import NearestGroup
from duetal.cli.shared_options import PATH, finite
from duetal.cli.terminal import say
from duetal.core.extras import naming_extras

#: The environment variables of the user and the password that Label Studio must give; those that
#: its own backends read.
USER, PASSWORD = "BASIC_AUTH_USER", "BASIC_AUTH_PASS"


@click.group("serve", cls=NearestGroup)
def command() -> None:
    """Serve a trained run to an annotation tool."""


@command.command("label-studio")
@click.argument("run", type=PATH)
@click.argument("videos", nargs=-1, metavar="[VIDEOS]...")
@click.option(
    "--out",
    type=PATH,
    required=True,
    help="The folder of features, of what was found, and of the runs that are trained.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=9090, help="0 for any.")
@click.option(
    "--host",
    default="127.0.0.1",
    help=f"The address to listen on. Another than this machine's own needs {USER} and {PASSWORD} "
    "in the environment.",
)
@click.option(
    "--label-studio",
    "studio",
    metavar="URL",
    help="Label Studio's address, such as http://localhost:8080, for uploaded videos and for "
    "training. A token of it is read from LABEL_STUDIO_API_KEY in the environment.",
)
@click.option(
    "--allow",
    multiple=True,
    metavar="URL",
    help="Addresses of videos that begin so may be fetched, such as s3://bucket/clips/.",
)
@click.option(
    "--features",
    type=PATH,
    metavar="STORE",
    help="Where features are kept; used again if there.  [default: OUT/features]",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting of the training, such as alternations=2. May be given more than once.",
)
@click.option(
    "--branch",
    help="Which branch, such as cbp or vlp, or both for their ensemble.  [default: the first]",
)
@click.option(
    "--min-score",
    type=click.FloatRange(min=0),
    callback=finite,
    help="Actions of a lower score are not proposed.  [default: half a video's highest]",
)
@click.option(
    "--accelerator",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    help="Where to compute.",
)
@weights_options
@naming_extras()
def label_studio(
    run: Path,
    videos: tuple[str, ...],
    out: Path,
    port: int,
    host: str,
    studio: str | None,
    allow: tuple[str, ...],
    settings: tuple[str, ...],
    **options: Any,
) -> None:
    """Serve RUN as an ML backend of Label Studio, which proposes actions and trains on annotations.

    VIDEOS are the folders in which the videos of the tasks are; nothing else is read. Ctrl-C ends
    the server, and the same command goes on.
    """
    from duetal.ml_backend.backend_serving import BackendOptions, serve_backend
    from duetal.ml_backend.studio_client import TOKEN, LabelStudio

    user, password = os.environ.get(USER, ""), os.environ.get(PASSWORD, "")
    client = None if studio is None else LabelStudio(studio, os.environ.get(TOKEN, ""))
    if client is not None:
        say(f"Label Studio {client.version()}: {client.address}")
    weights = take_weights(options)
    serve_backend(
        run,
        videos,
        out,
        BackendOptions(
            host=host,
            port=port,
            user=(user, password) if user and password else None,
            studio=client,
            allowed=allow,
            settings=settings,
            weights=weights,
            store=options["features"],
            floor=options["min_score"],
            branch=options["branch"],
            accelerator=options["accelerator"],
        ),
        lambda line: say(f"{time.strftime('%H:%M:%S')} {line}"),
    )
