"""Which values a column accepts: parses its type, converts strings to it in SQL, and makes example events."""

from clickpipe.columns.example import document_of, example_event, sample, taken
from clickpipe.columns.times import number_by_its_looks
from clickpipe.columns.types import (
    base,
    enum_names,
    holder,
    is_array,
    is_nullable,
    named_field,
    nested_fields,
    numbers,
    plain,
    split_arguments,
    spread,
)
from clickpipe.columns.values import Judgement, Raw, judge, takes_json

__all__ = [
    "Judgement",
    "Raw",
    "base",
    "document_of",
    "enum_names",
    "example_event",
    "holder",
    "is_array",
    "is_nullable",
    "judge",
    "named_field",
    "nested_fields",
    "number_by_its_looks",
    "numbers",
    "plain",
    "sample",
    "split_arguments",
    "spread",
    "taken",
    "takes_json",
]
