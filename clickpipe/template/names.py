"""The names that a call may put into SQL: a name becomes SQL text only if it is found among these."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Protocol

from clickpipe.diagnostics import did_you_mean
from clickpipe.template.errors import TemplateError
from clickpipe.template.values import Text

_SHOWN = 20


class Names(Protocol):
    """The names that `column()`, `symbol()`, `columns()` and `table()` of a template may use."""

    @property
    def columns(self) -> Collection[str]:
        """Return the column names."""
        ...

    @property
    def listed(self) -> Collection[str]:
        """Return the columns that errors may list."""
        ...

    @property
    def tables(self) -> Collection[str]:
        """Return the names of data sources and pipes."""
        ...

    @property
    def any_enum(self) -> bool:
        """Return whether values outside `enum=` are accepted."""
        ...

    def inside(self, pipe: str) -> Names:
        """Return the names for the templates of a pipe that the SQL reads."""
        ...


@dataclass(frozen=True, slots=True)
class NameSet:
    """Names that are known in advance."""

    columns: Collection[str] = frozenset()
    tables: Collection[str] = frozenset()
    any_enum: bool = False

    @property
    def listed(self) -> Collection[str]:
        """Return all columns."""
        return self.columns

    def inside(self, pipe: str) -> Names:
        """Return the same names for every pipe."""
        del pipe
        return self


NO_NAMES = NameSet()


class UnknownName(TemplateError):
    """A call uses a name that does not exist."""


def column(name: str, known: Names, own: Iterable[str], texts: Collection[str] = ()) -> Text:
    """Return a column's name as SQL text: dots separate names, each of which is quoted.

    It must be in `known`, in the author's `own` (the default, the choices) or in the template's `texts`: as a whole,
    without the table alias before it, or without the subcolumn path after it. Raises UnknownName.
    """
    parts = name.split(".")
    found = name in own or name in texts or any(part in known.columns for part in (name, parts[-1], parts[0]))
    if not found:
        raise UnknownName(_unknown("column", name, [*own, *known.listed]))
    return Text(".".join(_quoted(part) for part in parts))


def identifier(name: str, known: Names, own: Iterable[str], texts: Collection[str] = ()) -> Text:
    """Return one name as SQL text, keeping its dots. Raises UnknownName if nothing has that name.

    It may be a table's name. Errors never list tables: the caller may not be allowed to know which ones exist.
    """
    if name not in own and name not in known.columns and name not in texts and name not in known.tables:
        raise UnknownName(_unknown("name", name, [*own, *known.listed]))
    return Text(_quoted(name))


def table(name: str, known: Names, own: Iterable[str], texts: Collection[str] = ()) -> Text:
    """Return a table's name as SQL text. Raises UnknownName if it is neither a data source nor a pipe.

    The error lists the author's own names only: the caller may not be allowed to know which others exist.
    """
    if name not in known.tables and name not in own and name not in texts:
        raise UnknownName(_unknown("data source or pipe", name, own))
    return Text(_quoted(name))


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    names = sorted(set(known))
    listed = ", ".join(names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")
    hint = did_you_mean(name, names)
    expected = f"; expected one of: {listed}" if listed else ""
    return f"the {what} '{name}' does not exist{expected}" + (f" ({hint})" if hint else "")


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"
