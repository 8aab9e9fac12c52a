"""Entry point: finds the command, runs it, and turns errors into one line and an exit code."""

import importlib
import os
import sys
from collections.abc import Sequence

import click

from duetal import __version__
from duetal.core.errors import DuetalError

#: Every command: its module under `duetal.cli`, and the line `duetal --help` shows. Kept here as
#: text so that `--help` imports none of them.
COMMANDS = {
    "check": "List every problem of a dataset, with file and place.",
    "doctor": "Print an environment report to paste into an issue.",
    "evaluate": "Temporal mAP of detections under a named protocol.",
    "localize": "Find the actions in the videos of a dataset with a trained run.",
    "recipes": "List the shipped recipes, or copy one out.",
    "report": "Make one self-contained HTML page of a run.",
    "simulate": "Make simulated two-modality features over an annotation file.",
    "train": "Train the two branches in turn from features and video labels.",
}


class LazyGroup(click.Group):
    """A group whose commands live in modules of their own, imported on call."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module and return its `command`."""
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"duetal.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command list without importing the commands."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(__version__, prog_name="duetal")
def cli(debug: bool) -> None:
    """Weakly-supervised temporal action localization.

    From features and one list of labels per video to actions with start, end and score.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 a problem with data or a run, 2 wrong usage."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    # `--debug` is taken anywhere on the line: one thinks of it after the command has failed.
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        code = cli.main(args=arguments, prog_name="duetal", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except DuetalError as error:
        if debug:
            raise
        _fail(str(error), error.exit_code)
    except click.exceptions.Abort:
        _fail("interrupted", 130)
    except click.ClickException as error:
        if isinstance(error, click.UsageError) and error.ctx is not None:
            click.echo(error.ctx.get_usage(), err=True)
        _fail(error.format_message(), error.exit_code)
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except BrokenPipeError:
        # The reader of a pipe (`| head`) left; there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        if debug or error.filename is None:
            raise
        _fail(f"{error.filename}: {error.strerror}", 1)
    except MemoryError:
        if debug:
            raise
        _fail("out of memory", 1)


def _fail(message: str, code: int) -> None:
    click.echo(f"duetal: error: {message}", err=True)
    sys.exit(code)
