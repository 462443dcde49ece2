"""Names that a call may put into SQL: they become text only after they were found among these."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Protocol

from clickpipe.diagnostics import did_you_mean
from clickpipe.template.errors import TemplateError
from clickpipe.template.values import Text

_SHOWN = 20


class Names(Protocol):
    """What a template's `column()`, `symbol()`, `columns()` and `table()` may name."""

    @property
    def columns(self) -> Collection[str]:
        """Return names of columns."""
        ...

    @property
    def told(self) -> Collection[str]:
        """Return the columns that errors may list."""
        ...

    @property
    def tables(self) -> Collection[str]:
        """Return names of data sources and pipes."""
        ...

    @property
    def any_enum(self) -> bool:
        """Tell whether values that `enum=` does not list are taken."""
        ...

    def inside(self, pipe: str) -> Names:
        """Return what the templates of a pipe may name, where SQL reads it."""
        ...


@dataclass(frozen=True, slots=True)
class NameSet:
    """Names that are known at once."""

    columns: Collection[str] = frozenset()
    tables: Collection[str] = frozenset()
    any_enum: bool = False

    @property
    def told(self) -> Collection[str]:
        """Return all columns."""
        return self.columns

    def inside(self, pipe: str) -> Names:
        """Return the same for each pipe."""
        del pipe
        return self


NO_NAMES = NameSet()


class UnknownName(TemplateError):
    """A call names what does not exist."""


def column(name: str, known: Names, own: Iterable[str], texts: Collection[str] = ()) -> Text:
    """Return a column's name as SQL text: dots are between names, each is quoted.

    It has to be among the `known` ones, the author's `own` (the default, the choices) or the template's `texts`: in
    whole, without the table's alias before it, or without the path inside of it behind. Raises UnknownName.
    """
    parts = name.split(".")
    found = name in own or name in texts or any(part in known.columns for part in (name, parts[-1], parts[0]))
    if not found:
        raise UnknownName(_unknown("column", name, [*own, *known.told]))
    return Text(".".join(_quoted(part) for part in parts))


def identifier(name: str, known: Names, own: Iterable[str], texts: Collection[str] = ()) -> Text:
    """Return one name as SQL text, the dots in it kept. Raises UnknownName when nothing is called so.

    It may be that of a table. Those are told to nobody: who calls may not know which there are.
    """
    if name not in own and name not in known.columns and name not in texts and name not in known.tables:
        raise UnknownName(_unknown("name", name, [*own, *known.told]))
    return Text(_quoted(name))


def table(name: str, known: Names, own: Iterable[str], texts: Collection[str] = ()) -> Text:
    """Return a table's name as SQL text. Raises UnknownName when it is no data source or pipe.

    It tells the author's own names alone: who calls may not know which others there are.
    """
    if name not in known.tables and name not in own and name not in texts:
        raise UnknownName(_unknown("data source or pipe", name, own))
    return Text(_quoted(name))


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    names = sorted(set(known))
    listed = ", ".join(names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")
    hint = did_you_mean(name, names)
    told = f"; there are: {listed}" if listed else ""
    return f"the {what} '{name}' does not exist{told}" + (f" ({hint})" if hint else "")


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"
