"""The `nightherd` command: registers one module a verb and turns errors into one line and an exit code.

Exit codes: 0 did its job, 1 the input was at fault, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import typer

from nightherd import __version__
from nightherd.cli.console import note
from nightherd.errors import NightherdError
from nightherd.files import system_error

VERBS = (
    "survey",
    "detect",
    "data",
    "train",
    "mine",
    "evaluate",
    "explain",
    "export",
    "models",
    "ask",
    "audit",
    "check",
)
"""Each is a module of nightherd.cli with a function `register(app)` that adds its command."""


# Recent typer carries its own copy of click; its public BadParameter leads to the base of the usage errors in both.
UsageProblem: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def _version(value: bool) -> None:
    if value:
        typer.echo(f"nightherd {__version__}")
        raise typer.Exit()


def build() -> typer.Typer:
    """The typer application with every verb registered."""
    app = typer.Typer(
        name="nightherd",
        help="Counts wildlife from thermal drone imagery and shows its work.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # its boxes leave the text 28 of 80 columns, and it takes [default: …] for markup
    )

    @app.callback()
    def root(
        version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
    ) -> None:
        pass

    for verb in VERBS:
        importlib.import_module(f"nightherd.cli.{verb}").register(app)
    return app


def run(arguments: list[str] | None = None) -> int:
    """Runs one command line and returns its exit code; never raises for bad input.

    Args:
        arguments: what follows `nightherd`; None takes them from the process.
    """
    try:
        result = build()(args=arguments, standalone_mode=False)
    except NightherdError as error:
        note(f"error: {error}")
        return 1
    except (KeyboardInterrupt, typer.Abort):
        note("interrupted; run the same command again to go on")
        return 130
    except UsageProblem as error:
        error.show()
        return 2
    except (BrokenPipeError, SystemExit):  # typer makes one of the other where whoever reads our output has left
        return 0
    except OSError as error:
        note(f"error: {system_error(error)}")
        return 1
    if result == 130:  # what typer makes of Ctrl-C
        note("interrupted; run the same command again to go on")
    return result if isinstance(result, int) else 0


def main() -> None:
    """The console script."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # libraries warn programmers; what a user should know is in our own lines
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started the command
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    sys.exit(_flushed(run()))


def _flushed(code: int) -> int:
    """The exit code after the last output is out, or cannot be."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes again when it ends
        if not isinstance(error, BrokenPipeError):
            note(f"error: {system_error(error)}")
            return code or 1
    return code
