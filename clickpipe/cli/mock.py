"""`clickpipe mock`: realistic rows for a data source."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from clickpipe.cli.output import plural, say
from clickpipe.cli.project import project_folder
from clickpipe.diagnostics import ClickpipeError, ProjectError, Severity, did_you_mean


@click.command(short_help="Write realistic rows for a data source.")
@click.argument("name")
@project_folder
@click.option("--rows", type=click.IntRange(0), default=100, show_default=True, help="How many.")
@click.option("--seed", type=int, default=1, show_default=True, help="A different number gives different rows.")
@click.option("--until", type=click.DateTime(), help="Times are in the month before this. Default: the last full hour.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file.")
def mock(name: str, folder: Path, rows: int, seed: int, until: datetime | None, output: Path | None) -> None:
    """Write rows for the data source NAME as NDJSON, based on the names and types of its columns.

    \b
    clickpipe mock events --rows 1000 -o fixtures/events.ndjson
    clickpipe mock events --rows 100000 | clickpipe datasource append events -
    """
    from clickpipe.ingest import mock_rows
    from clickpipe.project import load_folder

    project = load_folder(folder)
    sources = project.data_sources
    if name not in sources:
        message = (
            f"there is no data source '{name}' in the project: {did_you_mean(name, sources) or 'see clickpipe check'}"
        )
        raise ClickpipeError(message, code="not_found")
    files = {sources[name].file, *project.included.get(sources[name].file, ())}
    wrong = [d for d in project.diagnostics if d.severity is Severity.ERROR and d.span.file in files]
    if wrong:
        raise ProjectError(wrong, project.sources)
    moment = until or datetime.now(UTC).replace(minute=0, second=0, microsecond=0, tzinfo=None)
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in mock_rows(sources[name], rows, seed, moment))
    if output is None:
        sys.stdout.writelines(lines)
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("w", encoding="utf-8") as file:
        file.writelines(lines)
    say(f"{plural(rows, 'row')} written to {output}")
