"""Which project a command is about: FOLDER or --project, here by default."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from clickpipe.diagnostics import ClickpipeError

_OF_A_PROJECT = {"datasources", "pipes", "endpoints", "materializations", "copies", "sinks", "connections", "fixtures"}
_Function = TypeVar("_Function", bound=Callable[..., Any])
_KEY = "clickpipe.project"


class _Folder(click.Path):
    """The folder of a project: neither a file of it nor one of its own folders, of which the rest would be missing."""

    def __init__(self) -> None:
        super().__init__(exists=True, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = Path(str(super().convert(value, param, ctx)))
        require_project(found)
        return found


def require_project(folder: Path) -> None:
    """Raise ClickpipeError for a file, and for a folder that belongs to the project around it."""
    if folder.is_file():
        whole = _around(folder.parent) or folder.parent
        message = f"{folder} is a file: name the project's folder, {whole}"
        raise ClickpipeError(message, code="wrong_folder")
    if is_everything(folder):
        message = f"{folder.resolve()} is not a project folder: run this in the project, or name its folder"
        raise ClickpipeError(message, code="wrong_folder")
    if (around := _around(folder)) is not None:
        message = f"{folder.resolve().name} is a folder of the project in {around}: run it there, or name that folder"
        raise ClickpipeError(message, code="wrong_folder")


def is_everything(folder: Path, *, home: bool = False) -> bool:
    """Tell whether a folder is the root of the file system (or a home), with nothing in it that makes it a project."""
    whole = folder.resolve()
    if whole.parent != whole and not (home and whole == Path.home().resolve()):
        return False
    marks = ("clickpipe.toml", *_OF_A_PROJECT)
    return not any((whole / mark).exists() for mark in marks)


def _around(folder: Path) -> Path | None:
    """Return the project that a folder is a part of, None where it may be one itself."""
    whole = folder.resolve()
    if whole.name not in _OF_A_PROJECT or (whole / "clickpipe.toml").exists():
        return None
    if any((whole / name).is_dir() for name in _OF_A_PROJECT - {"fixtures"}):
        return None
    parent = whole.parent
    others = any((parent / name).is_dir() for name in _OF_A_PROJECT - {whole.name})
    return parent if others or (parent / "clickpipe.toml").exists() else None


FOLDER = _Folder()


def project_folder(function: _Function) -> _Function:
    """Add FOLDER and --project to a command, which gets `folder`; in a repository of several projects either does."""
    argument = click.argument("folder", type=FOLDER, required=False, callback=_chosen)
    option = click.option(
        "--project",
        type=FOLDER,
        is_eager=True,
        expose_value=False,
        callback=_remember,
        help="The project's folder; the same as FOLDER.",
    )
    return option(argument(function))


def _remember(ctx: click.Context, _param: click.Parameter, value: Path | None) -> None:
    ctx.meta[_KEY] = value


def _chosen(ctx: click.Context, _param: click.Parameter, value: Path | None) -> Path:
    other = ctx.meta.get(_KEY)
    if value is not None and other is not None and value != other:
        message = "give FOLDER or --project, not both"
        raise click.UsageError(message, ctx)
    found = value or other
    if found is None:
        require_project(Path())
    return found or Path()
