"""`clickpipe sql`: one SELECT on a server."""

from __future__ import annotations

import re
import sys

import click

from clickpipe.cli.client import Client, connect, server_options
from clickpipe.cli.output import print_json, print_table, say

_FORMAT = re.compile(r"\bFORMAT\s+[A-Za-z]\w*$", re.IGNORECASE)
_FORMATS = {"json": "JSON", "ndjson": "JSONEachRow", "csv": "CSVWithNames", "tsv": "TSVWithNames"}


@click.command(short_help="Run one SELECT and print its rows.")
@click.argument("query", required=False)
@click.option("--format", "form", type=click.Choice(list(_FORMATS)), help="Print the server's response in this format.")
@click.option("--json", "as_json", is_flag=True, help="Print the rows as a JSON array.")
@click.option("--stats", is_flag=True, help="Print time, rows and bytes read (to standard error).")
@click.option("--staging", is_flag=True, help="Query the deployment in staging.")
@server_options
def sql(
    query: str | None,
    form: str | None,
    host: str | None,
    token: str | None,
    *,
    as_json: bool,
    stats: bool,
    staging: bool,
) -> None:
    """Run one SELECT over data sources and pipes and print its rows.

    Without QUERY, or with -, the SQL is read from standard input. On a terminal you get a prompt with history and
    completion.

    \b
    clickpipe sql "SELECT event_type, count() FROM clickstream_events GROUP BY event_type"
    """
    client = connect(host, token, staging=staging)
    if query is None and sys.stdin.isatty():
        from clickpipe.cli.prompt import prompt

        prompt(client, lambda text: _run(client, text, form, as_json=as_json, stats=stats))
        return
    text = sys.stdin.read() if query in {None, "-"} else str(query)
    _run(client, text, form, as_json=as_json, stats=stats)


def _run(client: Client, text: str, form: str | None, *, as_json: bool, stats: bool) -> None:
    """Run one statement and print its result; its own FORMAT clause wins."""
    statement = text.strip().rstrip(";").rstrip()
    if form is None and _FORMAT.search(statement):
        click.echo(client.request("POST", "/v0/sql", content=statement.encode()).content, nl=False)
        return
    wanted = _FORMATS[form or "json"]
    response = client.request("POST", "/v0/sql", content=f"{statement}\nFORMAT {wanted}".encode())
    if form is not None:
        click.echo(response.content, nl=False)
        return
    print_result(response.json(), as_json=as_json, stats=stats)


def print_result(result: dict[str, object], *, as_json: bool, stats: bool = False) -> None:
    """Print a JSON result of the server: meta, data, statistics."""
    rows, meta = result["data"], result["meta"]
    assert isinstance(rows, list)  # noqa: S101 - the form of ClickHouse's JSON
    assert isinstance(meta, list)  # noqa: S101 - the same
    if as_json:
        print_json(rows)
    else:
        names = [m["name"] for m in meta]
        numbers = [m["name"] for m in meta if m["type"].startswith(("Int", "UInt", "Float", "Decimal"))]
        print_table(names, [[row[name] for name in names] for row in rows], right=numbers)
    if stats:
        found = result["statistics"]
        assert isinstance(found, dict)  # noqa: S101 - the same
        read = f"{found['rows_read']} rows and {found['bytes_read']} bytes read"
        say(f"{len(rows)} rows, {found['elapsed']:.3f} s, {read}")
