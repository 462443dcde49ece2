"""The directives of each kind of datafile: what each takes. A new directive is a new line here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from clickpipe.datafile.syntax import Kind
from clickpipe.diagnostics import Diagnostic, Span, did_you_mean


class Form(Enum):
    """How a directive takes its argument."""

    VALUE = auto()  # the rest of the line is one value, quoted or not
    WORDS = auto()  # several words, each quoted or not
    BLOCK = auto()  # a block only
    EITHER = auto()  # a value or a block
    FREE = auto()  # a value or a block of prose: `#` is text


@dataclass(frozen=True, slots=True)
class Directive:
    """One directive: its name, the form of its argument, the values it takes."""

    name: str
    form: Form = Form.VALUE
    arity: tuple[int, int] = (1, 1)
    choices: tuple[str, ...] = ()
    repeats: bool = False
    example: str = ""
    aliases: tuple[str, ...] = ()


_DESCRIPTION = Directive("DESCRIPTION", Form.FREE, example="DESCRIPTION What this is for")
_TAGS = Directive("TAGS", Form.EITHER, example='TAGS "web, events"')
_TOKEN = Directive("TOKEN", Form.WORDS, (2, 2), repeats=True, example='TOKEN "my_token" READ')

_DATASOURCE = (
    _DESCRIPTION,
    _TAGS,
    _TOKEN,
    Directive("SCHEMA", Form.BLOCK, example="SCHEMA >\n    id String `json:$.id`"),
    Directive("ENGINE", example="ENGINE MergeTree"),
    Directive("ENGINE_PARTITION_KEY", aliases=("PARTITION_KEY",), example="ENGINE_PARTITION_KEY toYYYYMM(timestamp)"),
    Directive("ENGINE_SORTING_KEY", aliases=("SORTING_KEY",), example="ENGINE_SORTING_KEY timestamp, user_id"),
    Directive("ENGINE_PRIMARY_KEY", aliases=("PRIMARY_KEY",), example="ENGINE_PRIMARY_KEY timestamp"),
    Directive("ENGINE_SAMPLING_KEY", aliases=("SAMPLING_KEY",), example="ENGINE_SAMPLING_KEY user_hash"),
    Directive("ENGINE_TTL", aliases=("TTL",), example="ENGINE_TTL timestamp + toIntervalDay(90)"),
    Directive("ENGINE_SETTINGS", example="ENGINE_SETTINGS index_granularity=1024"),
    Directive("ENGINE_VER", example="ENGINE_VER updated_at"),
    Directive("ENGINE_IS_DELETED", example="ENGINE_IS_DELETED deleted"),
    Directive("ENGINE_COLUMNS", example="ENGINE_COLUMNS clicks, cost"),
    Directive("ENGINE_SIGN", example="ENGINE_SIGN sign"),
    Directive("ENGINE_VERSION", example="ENGINE_VERSION version"),
)

_PIPE = (
    _DESCRIPTION,
    _TAGS,
    _TOKEN,
    Directive("NODE", repeats=True, example="NODE endpoint"),
    Directive("SQL", Form.BLOCK, repeats=True, example="SQL >\n    SELECT 1"),
    Directive("TYPE", choices=("endpoint", "materialized", "copy", "standard"), example="TYPE endpoint"),
    Directive("DATASOURCE", example="DATASOURCE daily_pages"),
    Directive("TARGET_DATASOURCE", example="TARGET_DATASOURCE daily_sessions"),
    Directive("COPY_SCHEDULE", example='COPY_SCHEDULE "0 1 * * *"'),
    Directive("COPY_MODE", choices=("append", "replace"), aliases=("MODE",), example="COPY_MODE append"),
)

DIRECTIVES: dict[Kind, dict[str, Directive]] = {
    kind: {name: directive for directive in table for name in (directive.name, *directive.aliases)}
    for kind, table in ((Kind.DATASOURCE, _DATASOURCE), (Kind.PIPE, _PIPE))
}


def not_a_directive(word: str, kind: Kind, span: Span) -> Diagnostic:
    """Return the diagnostic for a line that starts with no directive of this kind of file."""
    other = next((k for k, table in DIRECTIVES.items() if k is not kind and word.upper() in table), None)
    hint = did_you_mean(word, DIRECTIVES[kind]) or "is a line of a block not indented?"
    if other is not None:
        hint = f"{word.upper()} belongs in .{other} files"
    return Diagnostic("CP1001", f"{word} is not a valid option in {kind} files.", span, hint=hint)
