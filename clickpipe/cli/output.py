"""What commands print: tables and JSON on standard output; progress, errors and remarks on standard error."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import click

from clickpipe.diagnostics import (
    MISSING,
    ClickpipeError,
    Diagnostic,
    Severity,
    Sources,
    counts,
    merge_missing,
    render_text,
)

if TYPE_CHECKING:
    from rich.console import Console

_MOST_SHOWN = 20  # diagnostics, unless all are asked for
_NUMBER = re.compile(r"\d[\d.,]*")
_QUIET_SECONDS = 5.0  # between two lines of progress that differ in numbers only
_PIPED_WIDTH = 10_000  # a table that goes to a file or another program is never cut


def color(stream: IO[str]) -> bool:
    """Tell whether to use colours on a stream: on terminals, unless NO_COLOR is set."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def say(text: str) -> None:
    """Print a remark for the person at the terminal (standard error)."""
    click.echo(text, err=True)


def fail(message: str) -> None:
    """Print what went wrong (standard error)."""
    click.echo(f"{click.style('error', fg='red', bold=True)}: {message}", err=True, color=color(sys.stderr))


def confirm(question: str) -> None:
    """Ask on the terminal; end the command where the answer is no. Raises ClickpipeError where nobody can answer."""
    if not sys.stdin.isatty():
        message = f"{question} There is no terminal to answer on: use --yes to confirm."
        raise ClickpipeError(message, code="not_confirmed")
    click.confirm(question, abort=True)


def style(text: str, **how: Any) -> str:
    """Return text in a colour, or as it is where standard output is no terminal."""
    return click.style(text, **how) if color(sys.stdout) else text


def print_json(value: Any) -> None:
    """Print a value as JSON, indented."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Iterable[str] = ()) -> None:
    """Print rows below their headings; `right` names the columns of numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(Text(name), justify="right" if name in set(right) else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row))
    _console().print(table)


def _cell(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _console() -> Console:
    from rich.console import Console

    terminal = sys.stdout.isatty()
    return Console(no_color=not color(sys.stdout), width=None if terminal else _PIPED_WIDTH, highlight=False)


def print_diagnostics(diagnostics: Sequence[Diagnostic], sources: Sources, *, every: bool = False) -> None:
    """Print diagnostics for a person (standard error), then how many there are: the errors first, twenty of many.

    Of more than that, the others are counted by code and file, unless `every` one is asked for.
    """
    shown = merge_missing(diagnostics)
    if not every and len(shown) > _MOST_SHOWN:
        shown = sorted(shown, key=lambda d: (d.severity is Severity.WARNING, d.code != MISSING))[:_MOST_SHOWN]
    click.echo(render_text(shown, sources, color=color(sys.stderr)), err=True, color=True)
    if len(shown) < len(merge_missing(diagnostics)):
        click.echo(f"\n{len(shown)} of {len(diagnostics)} are shown (--all shows them all):", err=True)
        click.echo("\n".join(counts(diagnostics)), err=True)
    click.echo(f"\n{count_diagnostics(diagnostics)}", err=True)


def count_diagnostics(diagnostics: Sequence[Diagnostic]) -> str:
    """Return `2 errors, 1 warning`."""
    errors = sum(d.severity is Severity.ERROR for d in diagnostics)
    warnings = len(diagnostics) - errors
    parts = [plural(n, word) for n, word in ((errors, "error"), (warnings, "warning")) if n]
    return ", ".join(parts) or "no errors"


def plural(number: int, word: str) -> str:
    """Return `1 row`, `3,000 rows`."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


class Progress:
    """Says what is being done (standard error): a line that is replaced on a terminal.

    Elsewhere it is a line each; of those that differ in numbers only, one in some seconds.
    """

    def __init__(self) -> None:
        """Say nothing yet."""
        self._terminal = sys.stderr.isatty()
        self._kind, self._next = "", 0.0

    def __call__(self, message: str) -> None:
        """Tell what comes next."""
        if self._terminal:
            click.echo(f"\r\x1b[K{message} …", nl=False, err=True, color=True)
            return
        kind = _NUMBER.sub("", message).replace("rows", "row")
        if kind != self._kind or time.monotonic() >= self._next:
            self._kind, self._next = kind, time.monotonic() + _QUIET_SECONDS
            click.echo(f"{message} …", err=True)

    def detail(self, message: str) -> None:
        """Tell a step of what was told last: on a terminal only, where it does not pile up."""
        if self._terminal:
            self(message)

    def clear(self) -> None:
        """Remove the line."""
        if self._terminal:
            click.echo("\r\x1b[K", nl=False, err=True, color=True)


@contextmanager
def progress() -> Iterator[Progress]:
    """Give a progress line that is gone afterwards."""
    shown = Progress()
    try:
        yield shown
    finally:
        shown.clear()
