"""A column during ingestion: its text in an event, whether that fits, and the value that it becomes."""

from __future__ import annotations

from dataclasses import dataclass

from clickpipe.columns import (
    Judgement,
    Raw,
    base,
    is_array,
    is_nullable,
    judge,
    nested_fields,
    number_by_its_looks,
    takes_json,
)
from clickpipe.ingest.csv_texts import CsvTexts
from clickpipe.ingest.extract import Texts
from clickpipe.project import Column, DataSource
from clickpipe.sql import quote_identifier, quote_literal


@dataclass(frozen=True, slots=True)
class Field:
    """A column during ingestion: `raw` is the name of its text, `parsed` of its parsed value, of type `parsed_type`.

    The parsed value is NULL if the text does not fit; for a type that cannot be NULL it is a tuple (value, fits).
    `parsed` is '' for texts, which need no parsing.
    """

    column: Column
    raw: str
    parsed: str
    judgement: Judgement
    proves: bool  # if it has a text, the line is JSON

    @property
    def parsed_type(self) -> str:
        """The type of `parsed` in the staging table."""
        type_ = self.judgement.type
        return f"Nullable({type_})" if self.judgement.nullable else f"Tuple({type_}, UInt8)"

    @property
    def select(self) -> str:
        """SQL for `parsed`."""
        judged = self.judgement
        return (
            f"{judged.value if judged.nullable else f'tuple({judged.value}, toUInt8({judged.fits}))'} AS {self.parsed}"
        )

    @property
    def takes_null(self) -> bool:
        """Whether the table's column may be NULL."""
        return self.column.nullable or is_nullable(self.column.type)

    @property
    def required(self) -> bool:
        """Whether rows without a value for it are refused."""
        return not (self.takes_null or self.column.default is not None or is_array(self.column.type))

    @property
    def fits(self) -> str:
        """SQL condition for a non-NULL text that fits; '1' if all do."""
        if not self.parsed:
            return "1"
        return f"isNotNull({self.parsed})" if self.judgement.nullable else f"tupleElement({self.parsed}, 2)"

    @property
    def value(self) -> str:
        """SQL for the column's value, for rows without errors."""
        type_ = self.column.type
        if not self.parsed:
            found = self.raw if self.takes_null else f"assumeNotNull({self.raw})"
        elif self.judgement.nullable:
            found = self.parsed if self.takes_null else f"assumeNotNull({self.parsed})"
        else:
            found = f"tupleElement({self.parsed}, 1)"
            own_null = takes_json(type_)  # a Variant's NULL is one of its values
            found = f"if(isNull({self.raw}), NULL, {found})" if self.takes_null and not own_null else found
        as_it_is = {"String", self.judgement.type} if not self.column.nullable else {f"Nullable({self.judgement.type})"}
        present = found if type_ in as_it_is or nested_fields(type_) else f"CAST({found}, {quote_literal(type_)})"
        default = self.column.default
        if default is None:
            return present
        return f"if(isNull({self.raw}), CAST({default.text}, {quote_literal(type_)}), {present})"

    @property
    def values(self) -> list[tuple[str, str]]:
        """The table's columns (quoted) and their values; a Nested has one per field."""
        fields = nested_fields(self.column.type)
        if not fields:
            return [(quote_identifier(self.column.name), self.value)]
        return [
            (quote_identifier(f"{self.column.name}.{name}"), f"tupleElement({self.value}, {number})")
            for number, name in enumerate(fields, 1)
        ]


def fields_of(source: DataSource, texts: Texts | CsvTexts | None = None, *, quoted: bool = True) -> list[Field]:
    """Return a data source's columns, read from lines or (without `texts`) from rows of its quarantine."""
    found: list[Field] = []
    for number, column in enumerate(source.columns):
        raw = f"__{number}"
        is_number = number_by_its_looks(raw) if texts is None or quoted else texts.numbers[number]
        judged = judge(column.type, Raw(raw, raw if takes_json(column.type) else "", is_number))
        parsed = "" if judged.type == "String" else f"__v{number}"
        found.append(Field(column, raw, parsed, judged, texts.parsed[number] if texts else False))
    return found


def unfitting(fields: list[Field]) -> list[str]:
    """Return SQL conditions for rows that do not fit: any of them being true is an error."""
    conditions: list[str] = []
    for f in fields:
        if f.required and f.parsed and f.judgement.nullable:
            conditions.append(f"isNull({f.parsed})")
        elif f.required:
            conditions += [f"isNull({f.raw})", *([f"NOT {f.fits}"] if f.parsed else [])]
        elif f.fits != "1":
            conditions.append(f"(isNotNull({f.raw}) AND NOT {f.fits})")
    return conditions


def kept_text(f: Field) -> str:
    """Return SQL for the text to keep in quarantine; NULL if the line is an array, whose elements are no columns."""
    return f"if(startsWith(__line, '{{'), {f.raw}, NULL)" if f.proves else f.raw


def error_of(f: Field) -> str:
    """Return SQL for `(column, message)`; an empty message means no error."""
    column = f.column
    name = quote_literal(column.name)
    missing = "''"
    if f.required:
        text = f"value is missing or null on column '{column.name}', which is {column.type} and has no DEFAULT"
        missing = quote_literal(text)
    head = quote_literal("value '")
    tail = quote_literal(f"' on column '{column.name}' is not {base(column.type)}")
    wrong = f"concat({head}, leftUTF8(assumeNotNull({f.raw}), 200), {tail})"
    return f"({name}, multiIf(isNull({f.raw}), {missing}, {f.fits}, '', {wrong}))"
