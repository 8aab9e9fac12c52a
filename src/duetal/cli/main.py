"""Entry point: finds the command, runs it, and turns errors into one line and an exit code."""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from duetal import __version__
from duetal.core.errors import DuetalError, machine_fault, unknown
from duetal.core.extras import missing_package

#: Every command: its module under `duetal.cli`, and the line `duetal --help` shows. Kept here as
#: text so that `--help` imports none of them.
COMMANDS = {
    "backbones": "List the networks that features can be made with.",
    "check": "List every problem of a dataset, with file and place.",
    "compare": "Compare runs or detections by a bootstrap over videos.",
    "convert": "Convert annotations or detections from one form to another.",
    "diagnose": "Classify the errors of detections, with each kind's cost.",
    "doctor": "Print an environment report to paste into an issue.",
    "evaluate": "Temporal mAP of detections under a named protocol.",
    "export": "Write a trained run as ONNX, or a model card of it.",
    "extract": "Extract features of videos into a store.",
    "fit": "Put CLIP features into a dataset, as long as its own.",
    "import-features": "Make a dataset of public features, on one time grid.",
    "localize": "Find the actions in videos or a dataset with a trained run.",
    "localize-scores": "Find the actions in scores per snippet of any model.",
    "probe": "Tell from labels how strong each stream of a dataset is.",
    "push": "Push a trained run to a repository of the Hugging Face hub.",
    "recipes": "List the shipped recipes, or copy one out.",
    "report": "Make one self-contained HTML page of runs or detections.",
    "review": "Correct what a run found, or label videos, in a browser.",
    "serve": "Serve a run as a backend of an annotation tool.",
    "simulate": "Make simulated two-modality features over annotations.",
    "train": "Train both branches in turn from features and video labels.",
}


class NearestGroup(click.Group):
    """A group that reports an unknown command with the nearest one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first argument names."""
        name = args[0]
        if name not in self.list_commands(ctx) and not name.startswith("-"):
            ctx.fail(unknown("command", name, self.list_commands(ctx)))
        return super().resolve_command(ctx, args)


class LazyGroup(NearestGroup):
    """A group whose commands live in modules of their own, imported on call."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module and return its `command`."""
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"duetal.cli.{cmd_name.replace('-', '_')}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command list without importing the commands."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "show_default": True}
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(__version__, prog_name="duetal")
def cli(debug: bool) -> None:
    """Weakly-supervised temporal action localization.

    From features and one list of labels per video to actions with start, end and score.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 1 a problem with data or a run, 2 wrong usage.

    An interrupt exits with 130, as a shell reports it. With `--debug` every error but those shows
    its traceback.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    # `--debug` is taken anywhere on the line: one thinks of it after the command has failed.
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        code = cli.main(args=arguments, prog_name="duetal", standalone_mode=False)
        # A full disk or a closed pipe is an error here, not at exit.
        sys.stdout.flush()
    except (KeyboardInterrupt, click.exceptions.Abort):
        _fail("interrupted", 130)
    except BrokenPipeError:
        # The reader of a pipe (`| head`) has closed it.
        _abandon_output()
        sys.exit(1)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help(), err=True)
        sys.exit(error.exit_code)
    except Exception as error:
        if debug:
            raise
        _fail(*_message_and_code(error))
    sys.exit(code if isinstance(code, int) else 0)


def _message_and_code(error: Exception) -> tuple[str, int]:
    """The line for an error, and the exit code."""
    if isinstance(error, ModuleNotFoundError):
        error = missing_package(error) or error
    if isinstance(error, DuetalError):
        return str(error), error.exit_code
    if isinstance(error, click.UsageError) and error.ctx is not None:
        hint = f"(see {error.ctx.command_path} --help)"
        return f"{error.format_message().removesuffix('.')} {hint}", error.exit_code
    if isinstance(error, click.ClickException):
        return error.format_message(), error.exit_code
    if isinstance(error, OSError) and error.strerror is not None:
        if error.filename is None:
            _abandon_output()
        place = "cannot read or write" if error.filename is None else error.filename
        return f"{place}: {error.strerror}", 1
    if fault := machine_fault(error):
        return fault, 1
    return f"internal error: {type(error).__name__}: {error}; run again with --debug", 1


def _abandon_output() -> None:
    """Send what is left of standard output nowhere, so that Python's exit doesn't fail on it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str, code: int) -> NoReturn:
    from duetal.core.console import printable

    # Click breaks lists of choices, and a name from outside may hold a newline or an escape code.
    one_line = " ".join(line.strip() for line in message.splitlines())
    click.echo(f"duetal: error: {printable(one_line)}", err=True)
    sys.exit(code)
