"""`clickpipe fmt`: datafiles in their canonical layout."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clickpipe.cli.output import plural, print_diagnostics, print_json
from clickpipe.cli.project import is_everything
from clickpipe.diagnostics import ClickpipeError, Diagnostic, Sources

if TYPE_CHECKING:
    from clickpipe.datafile import FormatSQL

_WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
_ENDINGS = (".datasource", ".pipe", ".connection")


@click.command(short_help="Format datafiles.")
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--check", is_flag=True, help="Change nothing; exit with 1 if a file would change.")
@click.option("--diff", is_flag=True, help="Change nothing; print what would change.")
@click.option("--sql", is_flag=True, help="Also format SQL without templates and comments, as ClickHouse does.")
@click.option("--json", "as_json", is_flag=True, help="Print the files' names as JSON.")
@click.pass_context
def fmt(ctx: click.Context, paths: tuple[Path, ...], *, check: bool, diff: bool, sql: bool, as_json: bool) -> None:
    """Format the datafiles in PATHS, files or folders (here by default), in place.

    Comments and SQL stay as they are, except for indentation. Files with errors are not touched.
    """
    for folder in paths or (Path(),):
        if is_everything(folder, home=not paths):
            message = (
                f"{folder.resolve()} is not a project folder, and every project below it would be formatted: name one"
            )
            raise ClickpipeError(message, code="wrong_folder")
    changed: list[str] = []
    diffs: dict[str, str] | None = {} if diff else None
    errors: list[Diagnostic] = []
    texts: dict[str, str] = {}
    with _formatter(wanted=sql) as format_sql:
        for name, path in {str(path): path for path in _files(paths or (Path(),))}.items():
            texts[name] = before = _read(path)
            after, found = _format(name, before, format_sql)
            errors += found
            if after is None or after == before:
                continue
            changed.append(name)
            if diffs is not None:
                diffs[name] = _diff(name, before, after)
            elif not check:
                _write(path, after)
    if as_json:
        failed = sorted({error.span.file for error in errors})
        shown = {} if diffs is None else {"diffs": diffs}
        print_json({"changed": changed, "failed": failed, "files": len(texts), **shown})
    else:
        _tell(changed, diffs, len(texts), kept=check or diff)
    if errors:
        print_diagnostics(errors, Sources(texts))
    ctx.exit(1 if errors or (check and changed) else 0)


def _tell(changed: list[str], diffs: dict[str, str] | None, count: int, *, kept: bool) -> None:
    for name in changed:
        if diffs is None:
            click.echo(f"{'would format' if kept else 'formatted'} {name}")
        else:
            click.echo(diffs[name], nl=False)
    click.echo(f"{plural(count, 'file')}: {len(changed)} {'to format' if kept else 'formatted'}", err=diffs is not None)


def _diff(name: str, before: str, after: str) -> str:
    """Return a unified diff as `patch` takes it."""
    lines = unified_diff(_lines(before), _lines(after), name, name)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _lines(text: str) -> list[str]:
    *whole, last = text.split("\n")
    return [f"{line}\n" for line in whole] + ([last] if last else [])


def _files(paths: tuple[Path, ...]) -> Iterator[Path]:
    from clickpipe.project import datafile_paths

    for path in paths:
        for found in datafile_paths(path) if path.is_dir() else (path,):
            if found.suffix in _ENDINGS:
                yield found


def _read(path: Path) -> str:
    from clickpipe.project import decode

    try:
        return decode(path.read_bytes())
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error.strerror)
        message = f"{path} cannot be read: {reason}"
        raise ClickpipeError(message, code="unreadable") from None


def _write(path: Path, text: str) -> None:
    from clickpipe.config import require_inside

    require_inside(path.parent, path)
    if not path.stat().st_mode & _WRITABLE:  # which holds nobody back who is root
        raise ClickpipeError(f"{path} cannot be written: it is read-only", code="unwritable")
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ClickpipeError(f"{path} cannot be written: {error.strerror}", code="unwritable") from None


def _format(name: str, text: str, format_sql: FormatSQL | None) -> tuple[str | None, list[Diagnostic]]:
    from clickpipe.datafile import format_datafile

    return format_datafile(name, text, format_sql)


@contextmanager
def _formatter(*, wanted: bool) -> Iterator[FormatSQL | None]:
    """Give ClickHouse's own formatter; it has no text for SQL that it cannot read."""
    if not wanted:
        yield None
        return
    from clickpipe.engine import EmbeddedEngine, EngineError

    engine = EmbeddedEngine()

    def format_sql(sql: str) -> str | None:
        try:
            return engine.execute("SELECT formatQuery({sql:String})", {"sql": sql}, output="TSVRaw").body.decode()
        except EngineError:
            return None

    try:
        yield format_sql
    finally:
        engine.close()
