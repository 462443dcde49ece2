"""`clickpipe datasource analyze` and `create`: a file to the data source that takes it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from clickpipe.cli.data_files import ENCODINGS, ENDINGS
from clickpipe.cli.output import print_json, print_table, say
from clickpipe.diagnostics import ClickpipeError

if TYPE_CHECKING:
    from clickpipe.ingest import Analysis

_FORMATS = click.Choice(["csv", "ndjson", "json", "parquet"])
_SAMPLE = 4 << 20  # bytes that are looked at


@click.command("analyze")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--format", "format_", type=_FORMATS, help="Default: by the file's name.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def analyze_file(file: Path, format_: str | None, *, as_json: bool) -> None:
    """Show the columns of FILE and types that fit them."""
    found = _analysis(file, format_)
    if as_json:
        print_json(found.as_dict())
        return
    rows = [(c.name, c.path or "", c.type, f"{c.present:.0%}", f"{c.distinct:,}") for c in found.columns]
    print_table(["name", "jsonpath", "type", "present", "distinct"], rows, right=("present", "distinct"))


@click.command("create")
@click.option(
    "--from", "file", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The file."
)
@click.option("--name", help="The data source's name. Default: the file's.")
@click.option("--format", "format_", type=_FORMATS, help="Default: by the file's name.")
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), default=Path(), help="The project.")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def create(file: Path, name: str | None, format_: str | None, folder: Path, *, force: bool) -> None:
    """Write a .datasource file for a data file. It chooses types, jsonpaths and a sorting key.

    \b
    clickpipe datasource create --from events.ndjson
    """
    from clickpipe.ingest import datasource_text

    own = name or _name(file)
    path = folder / "datasources" / f"{own}.datasource"
    if path.exists() and not force:
        message = f"{path} exists already: --force overwrites it, --name chooses another name"
        raise ClickpipeError(message, code="exists")
    found = _analysis(file, format_)
    text = datasource_text(found, f"Rows as those of {file.name}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    if found.left_out:
        say(f"left out, because no jsonpath can name them: {', '.join(map(repr, found.left_out))}")
    say(f"{path} is written: review its types and sorting key, then run `clickpipe check`")


def _name(file: Path) -> str:
    stem = file.name.split(".")[0]
    name = "".join(c if c.isalnum() and c.isascii() else "_" for c in stem).strip("_").lower()
    return f"_{name}" if name[:1].isdigit() else name or "rows"


def _analysis(file: Path, format_: str | None) -> Analysis:
    """Analyze the beginning of a file. Raises ClickpipeError."""
    from clickpipe.engine import parquet_columns
    from clickpipe.ingest import analyze, analyze_columns, in_utf8, open_file

    encoding = ENCODINGS.get(file.suffix, "")
    kind = format_ or ENDINGS.get(Path(file.stem if encoding else file.name).suffix.lower(), "")
    if not kind:
        message = f"the format of {file} is unknown: name it with --format"
        raise ClickpipeError(message, code="unknown_format")
    if kind == "parquet":
        return analyze_columns(parquet_columns(file))
    with open_file(file, encoding) as opened:
        stream = in_utf8(opened, "")
        sample, cut = stream.read(_SAMPLE), bool(stream.read(1))
    return analyze(sample, kind, cut=cut)
