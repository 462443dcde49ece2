"""The prompt of `clickpipe sql`: statements end with `;`, names complete with Tab, what was typed is remembered."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click

from clickpipe.cli.client import Client
from clickpipe.cli.output import say
from clickpipe.diagnostics import ClickpipeError

_WORDS = (
    *("SELECT", "FROM", "WHERE", "GROUP BY", "ORDER BY", "LIMIT", "HAVING", "JOIN", "LEFT JOIN", "USING", "WITH"),
    *("DISTINCT", "AND", "OR", "NOT", "IN", "LIKE", "BETWEEN", "IS NULL", "DESC", "ASC", "FORMAT", "INTERVAL"),
    *("count()", "uniq(", "sum(", "avg(", "min(", "max(", "quantile(", "toDate(", "toStartOfHour(", "now()", "today()"),
)
_REMEMBERED = 1_000
_HELP = "End a statement with ; — \\d lists data sources and endpoints, \\d NAME its columns, \\q or Ctrl-D leaves."


def prompt(client: Client, run: Callable[[str], None]) -> None:
    """Read statements and run them until the end of input; a failing one is told and the next is read."""
    tables = _tables(client)
    say(f"{client.url}: {_HELP}")
    with _editing([*_WORDS, *tables, *{column for columns in tables.values() for column, _ in columns}]):
        for statement in _statements():
            try:
                if statement.startswith("\\d"):
                    _describe(tables, statement.removeprefix("\\d").strip(" ;"))
                else:
                    run(statement)
            except ClickpipeError as error:
                click.echo(click.style(error.message, fg="red"), err=True)
            except KeyboardInterrupt:
                click.echo("(stopped)", err=True)


def _statements() -> Iterator[str]:
    lines: list[str] = []
    while True:
        try:
            line = input("sql> " if not lines else "...> ")
        except KeyboardInterrupt:
            lines = []
            click.echo()
            continue
        except EOFError:
            click.echo()
            return
        if not lines and line.strip() in {"\\q", "exit", "quit", "exit;", "quit;"}:
            return
        if not lines and line.strip().startswith("\\d"):
            yield line.strip()
            continue
        lines.append(line)
        if line.rstrip().endswith(";"):
            statement = "\n".join(lines).strip().rstrip(";").strip()
            lines = []
            if statement:
                yield statement


def _tables(client: Client) -> dict[str, list[tuple[str, str]]]:
    """Return the columns (name, type) of what the token may read, by name."""
    found: dict[str, list[tuple[str, str]]] = {}
    with contextlib.suppress(ClickpipeError):
        for source in client.get("/v0/datasources")["datasources"]:
            found[source["name"]] = [(c["name"], c["type"]) for c in source["columns"]]
        for pipe in client.get("/v0/pipes")["pipes"]:
            found[pipe["name"]] = [(c["name"], c["type"]) for c in pipe["columns"]]
    return found


def _describe(tables: dict[str, list[tuple[str, str]]], name: str) -> None:
    if not name:
        click.echo("\n".join(sorted(tables)) or "(nothing is deployed)")
    elif name in tables:
        click.echo("\n".join(f"{column}  {type_}" for column, type_ in tables[name]))
    else:
        message = f"there is no '{name}': \\d lists what there is"
        raise ClickpipeError(message, code="not_found")


@contextlib.contextmanager
def _editing(words: Sequence[str]) -> Iterator[None]:
    """Have lines edited, completed and remembered, where Python has readline."""
    try:
        import readline
    except ImportError:  # Windows
        yield
        return
    path = Path(os.environ.get("CLICKPIPE_SQL_HISTORY") or Path.home() / ".clickpipe_sql_history")
    with contextlib.suppress(OSError):
        readline.read_history_file(path)
    readline.set_history_length(_REMEMBERED)
    ordered = sorted(set(words))

    def complete(text: str, state: int) -> str | None:
        fitting = [word for word in ordered if word.lower().startswith(text.lower())]
        return fitting[state] if state < len(fitting) else None

    readline.set_completer(complete)
    readline.set_completer_delims(" \t\n,;()=<>+-*/")
    readline.parse_and_bind("bind ^I rl_complete" if "libedit" in (readline.__doc__ or "") else "tab: complete")
    try:
        yield
    finally:
        readline.set_completer(None)
        with contextlib.suppress(OSError):
            path.touch(mode=0o600)
            readline.write_history_file(path)
