"""The command line: ``edri-sim demo | simulate | run | up | switch | node | status | certs``."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

import edri_sim
from edri_sim.cli import certs, demo, programs, scenario, status, up
from edri_sim.errors import DeclarationError, EdriError, MissingExtra, SettingsError, UnsupportedFault

INTERRUPTED = 128 + 2
"""The exit code of a program that Ctrl-C ended, by the convention of shells."""
USAGE = 2

_UsageError: Any = typer.BadParameter.__bases__[0]
"""The base of what is wrong with a command line: typer has it from click, or brings it along under a private name."""

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
for command in (
    demo.demo, scenario.simulate, scenario.run, up.up, programs.switch, programs.node, status.status, certs.certs,
):  # fmt: skip
    app.command()(command)


def main() -> None:
    """Run the command line, and leave with its exit code."""
    try:
        code = app(prog_name="edri-sim", standalone_mode=False)
    except _UsageError as error:
        code = _complain(f"{error.format_message().rstrip('.')}; see edri-sim --help", USAGE)
    except (SettingsError, DeclarationError, MissingExtra, UnsupportedFault) as error:
        code = _complain(str(error), USAGE)
    except EdriError as error:
        code = _complain(f"{type(error).__name__}: {error}", 1)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    if code == INTERRUPTED:
        _complain(_farewell(sys.argv[1:]), code)
    sys.exit(code)


def _complain(words: str, code: int) -> int:
    print(f"edri-sim: {words}", file=sys.stderr)
    return code


def _farewell(arguments: list[str]) -> str:
    """What Ctrl-C has left behind."""
    return "interrupted; " + {
        "demo": "the node was drained, and no report was written",
        "node": "the node was drained",
        "switch": "the nodes were told",
        "up": "the nodes were drained, and then the switches stopped",
    }.get(arguments[0] if arguments else "", "nothing of it runs any more")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"edri-sim {edri_sim.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Event-driven systems that run unchanged in real time and in simulated time."""
