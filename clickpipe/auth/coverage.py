"""Checks that the fixed parameters and filter columns of tokens exist in the project.

A restriction on something that does not exist would have no effect, so such a token is refused, never let in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from clickpipe.auth.grants import Grant
from clickpipe.catalog import Token
from clickpipe.compiler import CompiledProject, parameters_read
from clickpipe.diagnostics import ClickpipeError, did_you_mean
from clickpipe.sql import tokens


def require_known(grants: Sequence[Grant], projects: Sequence[CompiledProject]) -> None:
    """Raise ClickpipeError 400 for a scope on an unknown resource, or a fixed parameter that the pipe lacks."""
    for grant in grants:
        if not grant.resource or not projects:
            continue
        kind = "data source" if grant.type.startswith("DATASOURCES") else "pipe"
        known: set[str] = set()
        for project in projects:
            known |= set(project.data_sources if kind == "data source" else project.project.pipes)
        if grant.resource not in known and not any(p.project.canonical(grant.resource) in known for p in projects):
            hint = did_you_mean(grant.resource, known)
            message = f"The {kind} '{grant.resource}' of the scope does not exist" + (f": {hint}" if hint else ".")
            raise ClickpipeError(message, code="unknown_resource")
        for name in grant.fixed_params:
            parameters = frozenset[str]().union(*(parameters_read(p, grant.resource) for p in projects))
            if name not in parameters:
                hint = did_you_mean(name, parameters) or _listed(parameters)
                message = f"The pipe '{grant.resource}' has no parameter '{name}' that could be fixed: {hint}"
                raise ClickpipeError(message, code="unknown_parameter")


def _listed(parameters: Iterable[str]) -> str:
    names = ", ".join(sorted(parameters))
    return f"there are {names}" if names else "it has none"


def uncovered(grants: Sequence[Grant], compiled: CompiledProject) -> list[str]:
    """Return warnings about filters that views bypass: the token can read what they made of filtered rows."""
    filtered = {grant.resource for grant in grants if grant.filter}
    open_ = {grant.resource for grant in grants if grant.type == "DATASOURCES:READ" and not grant.filter}
    found = []
    for view in compiled.views.values():
        if view.source in filtered and (view.target in open_ or "" in open_):
            message = (
                f"The filter on '{view.source}' does not hold for '{view.target}', which the view '{view.name}' makes "
                f"of its rows: give DATASOURCES:READ:{view.target} a filter, too."
            )
            found.append(message)
    return found


def broken(found: Iterable[Token], before: CompiledProject, after: CompiledProject) -> Iterator[str]:
    """Yield warnings about tokens that a deployment breaks: by removing fixed parameters or filtered columns."""
    for token in found:
        for pipe, fixed in token.fixed_params.items():
            lost = sorted(fixed.keys() - parameters_read(after, pipe))
            if lost and not fixed.keys() - parameters_read(before, pipe):
                named = ", ".join(f"'{name}'" for name in lost)
                yield f"The token '{token.name}' stops working on '{pipe}': it fixes {named}, no parameter then."
        for source, columns in _lost_columns(token.filters, before, after):
            named = ", ".join(f"'{name}'" for name in columns)
            yield f"The token '{token.name}' stops working on '{source}': its filter names {named}, which is gone then."


def _lost_columns(
    filters: Mapping[str, str], before: CompiledProject, after: CompiledProject
) -> Iterator[tuple[str, list[str]]]:
    for source, condition in filters.items():
        old, new = before.data_sources.get(source), after.data_sources.get(source)
        if old is None or new is None:
            continue
        gone = {column.name for column in old.columns} - {column.name for column in new.columns}
        named = sorted(gone & {token.value for token in tokens(condition) if token.is_name})
        if named:
            yield source, named
