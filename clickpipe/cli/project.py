"""Which project a command is about: FOLDER or --project, here by default."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_Function = TypeVar("_Function", bound=Callable[..., Any])
_KEY = "clickpipe.project"


def project_folder(function: _Function) -> _Function:
    """Add FOLDER and --project to a command, which gets `folder`; in a repository of several projects either does."""
    argument = click.argument("folder", type=FOLDER, required=False, callback=_chosen)
    option = click.option(
        "--project",
        type=FOLDER,
        is_eager=True,
        expose_value=False,
        callback=_remember,
        help="The project's folder, as FOLDER.",
    )
    return option(argument(function))


def _remember(ctx: click.Context, _param: click.Parameter, value: Path | None) -> None:
    ctx.meta[_KEY] = value


def _chosen(ctx: click.Context, _param: click.Parameter, value: Path | None) -> Path:
    other = ctx.meta.get(_KEY)
    if value is not None and other is not None and value != other:
        message = "give FOLDER or --project, not both"
        raise click.UsageError(message, ctx)
    return value or other or Path()
