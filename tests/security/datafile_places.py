"""Where in a datafile text may be that gets out, and what can stand there: quiet pieces, and loud ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from clickpipe.datafile import Kind as DatafileKind
from clickpipe.datafile.directives import DIRECTIVES
from tests.security import datafile_pieces as p


@dataclass(frozen=True)
class Kind:
    """A kind of place: a pattern, whose last group is replaced (and stands for `{old}`), and what may stand there."""

    at: re.Pattern[str]
    quiet: tuple[str, ...]
    loud: tuple[str, ...]


def _kind(at: str, quiet: tuple[str, ...], loud: tuple[str, ...]) -> Kind:
    return Kind(re.compile(at, re.MULTILINE | re.IGNORECASE), quiet, loud)


def _value(names: str, quiet: tuple[str, ...], loud: tuple[str, ...] = ()) -> Kind:
    return _kind(rf'^(?:{names})[ \t]+"?([^">\n]+)', quiet, loud or p.VALUES)


_PROSE = tuple(f"{text} $CLICKPIPE_CANARY" for text in p.TEXTS)
_LINES = (
    _kind(r"\A()", tuple(f"{line}\n" for line in p.QUIET_LINES), tuple(f"{line}\n" for line in p.LINES)),
    _value("DESCRIPTION|TAGS|TOKEN", _PROSE),
    _value("VERSION", ("0", "99")),
    _value(r"(?:KAFKA|IMPORT|EXPORT|PG|S3|GCS|DYNAMODB)_\w+", ("{old}_more", '"{old}"', *p.VALUES), p.VALUES),
)
_OF_DATA_SOURCES = (
    _value("ENGINE", ("MergeTree", "ReplacingMergeTree", "Null", "Memory", "AggregatingMergeTree"), p.ENGINES),
    _value("(?:ENGINE_)?(?:PARTITION|SORTING|PRIMARY|SAMPLING)_KEY", p.QUIET_KEYS, p.EXPRESSIONS),
    _value("(?:ENGINE_)?TTL", ("{old}", "{old} DELETE", "{old} + toIntervalDay(1)"), p.TTLS),
    _value("ENGINE_SETTINGS", p.QUIET_SETTINGS, p.SETTINGS),
    _value("ENGINE_(?:VER|IS_DELETED|COLUMNS|SIGN|VERSION|KEY_COLUMNS|JOIN_TYPE)", ("{old}", "`{old}`"), p.EXPRESSIONS),
    _kind(r"^SCHEMA >\n()", p.COLUMNS, tuple(f"    more {type_},\n" for type_ in p.TYPES)),
    _kind(r"^\s+`?[\w.]+`?\s+([A-Z]\w+(?:\([^\n`]*?\))?)(?=[\s,]|$)", p.QUIET_TYPES, p.TYPES),
    _kind(r"\bDEFAULT\s+('[^'\n]*'|\w+\(\)|\w+)", p.QUIET_DEFAULTS, p.EXPRESSIONS),
    _kind(r"`(json:[^`\n]+)`", ("json:$.other", "json:$.a.b", "json:$['{old}']"), p.PATHS),
    _kind(r"\bCODEC\(([^\n]*)\)", ("ZSTD(3)", "LZ4HC(9)", "NONE"), p.CODECS),
    _kind(r"\bTYPE\s+(\w+\([^\n]*\))", ("minmax", "set(7)", "bloom_filter(0.1)"), p.INDEX_TYPES),
    _kind(
        r"\A[\s\S]*\Z()", tuple(f"\n{line}\n" for line in p.OF_DATA_SOURCES), tuple(f"\n{line}\n" for line in p.LINES)
    ),
    _kind(r"^FORWARD_QUERY >\n\s+SELECT ()", ("",), tuple(f"{e}, " for e in p.EXPRESSIONS)),
)
_OF_PIPES = (
    _kind(r"\b(?:FROM|JOIN)\s+([A-Za-z_]\w*)", p.QUIET_TABLES, p.TABLES),
    _kind(r"\b(?:FROM|JOIN)\s+([A-Za-z_]\w*)", p.QUIET_TABLES, p.TABLES),
    _kind(
        r"\bSELECT\s()(?=\S)",
        ("{q} AS more, ", "'{x}' AS more, ", "/* {e} */ "),
        ("{e} AS more, ", "{tagged} AS more, "),
    ),
    _kind(r"\bSELECT\s()(?=\S)", ("{q} AS `{x}`, ", "DISTINCT "), ("{e}, ", "* REPLACE({e} AS id), ")),
    _kind(r"('[^'\n]*')", ("'{x}'", "concat('{x}', '')"), ("({e})", "'{x}', {e}")),
    _kind(r"\bWHERE\s()", ("'{x}' != 'y' AND ", "length('{x}') > 0 OR "), ("{e} AND ", "NOT ignore({e}) AND ")),
    _kind(r"^\s+%\n[^{]*?\bWHERE\s()", ("{tag} AND ", "({tag}) OR ", "{tag} AND {tag} AND "), ("{tagged} AND ",)),
    _kind(r"(\{\{[^\n]+?\}\})", ("{old} /* {t} */", "{old}"), p.TAGS),
    _kind(r"^SQL >\n\s+(?:%\n\s+)?((?:SELECT|WITH)[^\n]*(?:\n[ \t]+[^\n]*|\n(?=\n[ \t]))*)", p.QUIET_SQL, p.SQL),
    _kind(r"^NODE\s+(\w+)", ("{old}", "`{old}`"), p.VALUES),
    _value("TYPE|DATASOURCE|TARGET_DATASOURCE|(?:COPY_)?MODE", ("{old}",)),
    _value("COPY_SCHEDULE|EXPORT_SCHEDULE", ("@on-demand", "0 0 1 1 *", "@yearly")),
    _kind(r"\A[\s\S]*\Z()", tuple(f"\n{line}\n" for line in p.OF_PIPES), tuple(f"\n{line}\n" for line in p.LINES)),
)


def _any(kind: DatafileKind) -> Kind:
    """Return the end of a file, where any directive may stand: as its example has it, and with any value."""
    directives = {directive.name: directive for directive in DIRECTIVES[kind].values()}
    quiet = tuple(f"\n{directive.example or f'{name} x'}\n" for name, directive in directives.items())
    return _kind(r"\A[\s\S]*\Z()", quiet, tuple(f"\n{name} {value}\n" for name in directives for value in p.VALUES))


KINDS = {
    "datasource": (*_LINES, *_OF_DATA_SOURCES, *_OF_DATA_SOURCES, _any(DatafileKind.DATASOURCE)),
    "pipe": (*_LINES, *_OF_PIPES, *_OF_PIPES, _any(DatafileKind.PIPE)),
    "connection": (*_LINES, *_LINES, _any(DatafileKind.CONNECTION)),
    "incl": (*_LINES, _any(DatafileKind.DATASOURCE), _any(DatafileKind.PIPE)),
}


def places(kind: Kind, text: str) -> Iterator[tuple[int, int]]:
    """Yield from where to where a piece of a kind may stand in a text."""
    for match in kind.at.finditer(text):
        yield match.span(match.re.groups)
