"""The `finesight` program: its commands, and how errors end it."""

import os
import sys
import warnings

import typer

from finesight.cli import train
from finesight.cli.caption import caption
from finesight.cli.datasets import features, render, stats
from finesight.cli.demo import demo
from finesight.cli.evaluate import evaluate
from finesight.cli.index import index
from finesight.cli.models import export, models
from finesight.cli.output import say
from finesight.cli.search import search
from finesight.cli.serve import serve
from finesight.cli.upkeep import duplicates, export_vectors, optimize, remove, status, switch
from finesight.errors import FinesightError, InputError

_INTERRUPTED = "finesight: interrupted; what was finished is kept, the same command goes on"

app = typer.Typer(
    name="finesight",
    help="Find images by the small things in them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    *(index, search, serve, status, models, export, features, evaluate, stats, demo, caption),
    *(remove, duplicates, switch, optimize, export_vectors),
):
    app.command()(command)
app.add_typer(render, name="render")
app.add_typer(train.app, name="train")


def main() -> None:
    """Run the program: exit code 0 done, 1 failed, 2 wrong arguments, 130 interrupted."""
    warnings.showwarning = lambda message, *place, **more: say(f"finesight: {message}")
    try:
        app()
    except FinesightError as error:
        say(f"finesight: {error}")
        sys.exit(2 if isinstance(error, InputError) else 1)
    except KeyboardInterrupt:
        say(_INTERRUPTED)
        sys.exit(130)
    except SystemExit as ended:
        if ended.code == 130:  # newer Typer makes this of an interrupt, without a word
            say(_INTERRUPTED)
        raise
    except BrokenPipeError:
        # The reader of a pipe has seen enough; Python must not flush into it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
