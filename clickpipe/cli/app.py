"""The `clickpipe` command: its groups, and how every mistake ends."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from importlib import import_module

import click

from clickpipe import __version__
from clickpipe.cli.output import fail, print_diagnostics
from clickpipe.cli.terminal import guard_terminals
from clickpipe.diagnostics import ClickpipeError, ProjectError, did_you_mean

_HELP = """Turns .datasource and .pipe files into an analytics API on ClickHouse.

\b
Start:      clickpipe init shop && cd shop && clickpipe dev
Check:      clickpipe check
Deploy:     clickpipe serve --data-dir data      (on the server)
            clickpipe deploy --host URL          (from the project's folder, or CI)

Commands that call a server find it by --host and --token, then by CLICKPIPE_HOST and CLICKPIPE_TOKEN, then
by the `clickpipe dev` or `clickpipe serve` that runs in this folder.
"""


# The commands in the order in which they are used, by the module and the name in it: imported when they are asked for.
_COMMANDS = {
    "init": ("init", "init"),
    "check": ("check", "check"),
    "dev": ("dev", "dev"),
    "test": ("test", "test"),
    "fmt": ("fmt", "fmt"),
    "generate": ("generate", "generate"),
    "mock": ("mock", "mock"),
    "serve": ("serve", "serve"),
    "deploy": ("deploy", "deploy"),
    "deployment": ("deployments", "deployment"),
    "preview": ("previews", "preview"),
    "render": ("render", "render"),
    "explain": ("render", "explain"),
    "sql": ("sql", "sql"),
    "endpoint": ("endpoints", "endpoint"),
    "datasource": ("data_sources", "datasource"),
    "connection": ("connections", "connection"),
    "materialization": ("kept", "materialization"),
    "token": ("tokens", "token"),
    "workspace": ("workspaces", "workspace"),
    "copy": ("jobs", "copy"),
    "sink": ("sinks", "sink"),
    "job": ("jobs", "job"),
    "secret": ("secrets", "secret"),
    "logs": ("logs", "logs"),
}


class _Commands(click.Group):
    """A group that imports the command that is run, and suggests the one that was meant."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the commands in the order in which they are used."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - the same
        """Return a command, None where there is none of the name."""
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name]
        found: click.Command = getattr(import_module(f"clickpipe.cli.{module}"), name)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; click raises UsageError for an unknown one."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            hint = did_you_mean(args[0], self.list_commands(ctx)) if args else ""
            if not hint:
                raise
            raise click.UsageError(f"{error.message} {hint[:1].upper()}{hint[1:]}", ctx) from None


@click.group(cls=_Commands, help=_HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", message="clickpipe %(version)s")
def cli() -> None:
    """Do nothing by itself: commands do."""


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 a mistake or a refusal, 2 wrong usage, 130 interrupted."""
    guard_terminals()
    try:
        code = cli.main(args, prog_name="clickpipe", standalone_mode=False)
    except click.Abort:
        sys.exit(130)
    except KeyboardInterrupt:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except ProjectError as error:
        print_diagnostics(error.diagnostics, error.sources)
        sys.exit(1)
    except ClickpipeError as error:
        fail(error.message)
        sys.exit(1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # `clickpipe … | head` is no mistake
        sys.exit(1)
    except Exception as error:
        if os.environ.get("CLICKPIPE_DEBUG"):
            raise
        fail(f"this is a bug in clickpipe: {type(error).__name__}: {error}\nCLICKPIPE_DEBUG=1 shows where.")
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def run() -> None:
    """Be the program. After a check the process ends at once: taking apart what it holds would take time."""
    try:
        main()
    except SystemExit as end:
        if sys.argv[1:2] != ["check"] or not isinstance(end.code, int):
            raise
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(end.code)
