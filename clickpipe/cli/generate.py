"""`clickpipe generate`: the project's API for others, as a document or as typed clients."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clickpipe.cli.output import progress, say
from clickpipe.cli.project import project_folder

if TYPE_CHECKING:
    from clickpipe.compiler import QueryFunction

_OUTPUT = click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file.")


@click.group(short_help="Write an OpenAPI document or a typed client.")
def generate() -> None:
    """Write an OpenAPI document or a typed client for the project's endpoints.

    \b
    clickpipe generate openapi -o openapi.json
    clickpipe generate typescript -o web/api.ts
    clickpipe generate python -o client.py
    """


@generate.command()
@project_folder
@_OUTPUT
@click.option("--title", help="The document's title. Default: the folder's name.")
def openapi(folder: Path, output: Path | None, title: str | None) -> None:
    """Write an OpenAPI 3.1 document (JSON)."""
    from clickpipe.generate import openapi_document

    def document(endpoints: Sequence[QueryFunction], version: str) -> str:
        found = openapi_document(endpoints, title or folder.resolve().name, version)
        return json.dumps(found, indent=2, ensure_ascii=False) + "\n"

    _write(folder, output, document)


@generate.command()
@project_folder
@_OUTPUT
def typescript(folder: Path, output: Path | None) -> None:
    """Write a TypeScript client: one file, no dependencies."""
    from clickpipe.generate import typescript_client

    _write(folder, output, lambda endpoints, _: typescript_client(endpoints))


@generate.command()
@project_folder
@_OUTPUT
def python(folder: Path, output: Path | None) -> None:
    """Write a Python client: one module, no dependencies."""
    from clickpipe.generate import python_client

    _write(folder, output, lambda endpoints, _: python_client(endpoints))


def _write(folder: Path, output: Path | None, text_of: Callable[[Sequence[QueryFunction], str], str]) -> None:
    from clickpipe.checking import load

    with progress() as tell:
        tell("compiling the project")
        compiled = load(folder)
    endpoints = [compiled.endpoints[name] for name in sorted(compiled.endpoints)]
    if not endpoints:
        say("the project has no endpoints")
    text = text_of(endpoints, compiled.fingerprint())
    if output is None:
        click.echo(text, nl=False)
        return
    output.write_text(text, encoding="utf-8")
    say(f"wrote {output}")
