"""Whatever a template can reach: what is reached is listed here, and each with values at limits ends, in time."""

from __future__ import annotations

import itertools
import sys
from collections import deque
from datetime import datetime
from decimal import Decimal
from types import SimpleNamespace

import pytest
from jinja2.runtime import LoopContext, Macro, Undefined
from jinja2.sandbox import SandboxedEnvironment

from clickpipe.template.environment import environment
from clickpipe.template.sandbox import FILTERS, TESTS
from clickpipe.template.values import Fragment, Nothing, Pieces, Setting
from tests.template.reach import VALUES, WRITTEN, render, render_each

FUNCTIONS = sorted(name for name in environment().globals if not name.startswith("_clickpipe_"))


def test_functions_are_listed() -> None:
    assert set(FUNCTIONS) == {
        *("Array", "Boolean", "Column", "DateTime", "DateTime64", "Date", "Date32", "Decimal", "Float32", "Float64"),
        *("Int", "Int8", "Int16", "Int32", "Int64", "Int128", "Int256", "Integer", "JSON", "String", "Symbol", "TABLE"),
        *("UInt8", "UInt16", "UInt32", "UInt64", "UInt128", "UInt256", "UUID", "abs", "activate", "backend_hint"),
        *("bool", "cache_ttl", "column", "columns", "custom_error", "date_diff_in_days", "date_diff_in_hours"),
        *("date_diff_in_minutes", "date_diff_in_seconds", "day_diff", "defined", "disable", "enumerate"),
        *("enumerate_with_last", "error", "float", "int", "len", "list", "max", "max_execution_time"),
        *("max_memory_usage", "max_result_bytes", "max_result_rows", "max_rows_to_read", "max_threads", "min"),
        *("not_defined", "range", "round", "sorted", "split_to_array", "sql_and", "sql_unescape", "str", "sum"),
        *("symbol", "table", "tb_secret", "tb_var"),
    }


DEFAULTS = SandboxedEnvironment()


def test_filters_and_tests_are_listed_ones_alone() -> None:
    assert set(environment().filters) == FILTERS
    assert set(environment().tests) == TESTS
    for name in (*(DEFAULTS.filters.keys() - FILTERS), *(DEFAULTS.tests.keys() - TESTS)):
        kind = "filter" if name in DEFAULTS.filters else "test"
        template = f"{{{{ one | {name} }}}}" if kind == "filter" else f"{{{{ one is {name} }}}}"
        assert f"No {kind} named" in render(template), template
    for name in DEFAULTS.globals.keys() - {"range"}:
        assert "rendered" not in render(f"{{{{ {name}() }}}}"), name


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_ends_with_any_value(name: str) -> None:
    values = [f"{value}" for value in VALUES]
    render_each([f"{{{{ {name}() }}}}", *(f"{{{{ {name}({value}) }}}}" for value in (*values, *WRITTEN))])
    pairs = itertools.product(
        WRITTEN[::2], ("huge", "Int32(minus)", "JSON(wide)", "String(long)", "absent", "'a'", "[[]]")
    )
    render_each(f"{{{{ {name}({first}, {second}) }}}}" for first, second in pairs)
    more = ("enum=JSON(wide)", "scale=huge", "defined=0", "start=huge", "key=len", "reverse=1", "date_format=format")
    render_each(f"{{{{ {name}({first}, {word}) }}}}" for first in ("one", "JSON(json)", "long") for word in more)
    render_each(
        [
            f"{{{{ {name}(*JSON(wide)) }}}}",
            f"{{{{ {name}(**JSON(json)) }}}}",
            f"{{{{ {name}.a }}}}",
            f"{{{{ {name} }}}}",
        ]
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(FILTERS))
def test_a_filter_ends_with_any_value(name: str) -> None:
    render_each(f"{{{{ {value} | {name} }}}}" for value in (*VALUES, *WRITTEN))
    arguments = ("Int32(minus)", "huge", "Int32(many)", "String(long)", "JSON(wide)", "attribute='a'", "true", "'ceil'")
    render_each(f"{{{{ {value} | {name}({more}) }}}}" for value in WRITTEN[::3] for more in arguments)


@pytest.mark.parametrize("name", sorted(TESTS))
def test_a_test_ends_with_any_value(name: str) -> None:
    render_each(f"{{% if {value} is {name} %}}1{{% end %}}" for value in (*VALUES, *WRITTEN))
    arguments = ("0", "JSON(wide)", "String(long)", "absent", "huge")
    render_each(f"{{% if {value} is {name}({more}) %}}1{{% end %}}" for value in WRITTEN[::3] for more in arguments)


KINDS = {
    "String(one)": str,
    "long": str,
    "Int32(minus)": int,
    "Float64(one)": float,
    "Decimal(one)": Decimal,
    "Boolean(one)": bool,
    "Array(one, 'Int32')": list,
    "[1, one]": list,
    "(1, 2)": tuple,
    "JSON(json)": dict,
    "JSON(json).items()": type({}.items()),
    "range(9)": range,
    "enumerate([1])": enumerate,
    "absent": Undefined,
    "column('a')": Fragment,
    "max_threads(1)": Setting,
    "String(absent, defined=False)": Nothing,
    "loop": LoopContext,
    "m": Macro,
    "m()": Pieces,
    "len": type(len),
    "day_diff": type(lambda: 0),
    "'a'.upper": type("".upper),
}
FOREIGN = {name for of in (str, bytes, deque, datetime, SimpleNamespace, type, type(sys)) for name in dir(of)}
REACHED = {
    str: {
        *("capitalize", "count", "endswith", "find", "index", "isalnum", "isalpha", "isdigit", "islower", "isnumeric"),
        *("isupper", "join", "lower", "lstrip", "removeprefix", "removesuffix", "replace", "rsplit", "rstrip", "split"),
        *("splitlines", "startswith", "strip", "title", "upper"),
    },
    list: {"count", "index"},
    tuple: {"count", "index"},
    dict: {"get", "items", "keys", "values"},
    Pieces: {"count", "index"},
    LoopContext: {"index", "index0", "first", "last", "length", "revindex", "revindex0"},
}


@pytest.mark.slow
@pytest.mark.parametrize("value", KINDS)
def test_attributes_that_are_reached_are_listed(value: str) -> None:
    names = sorted({*dir(KINDS[value]), *FOREIGN, "func_globals", "gi_frame", "cr_code", "mro", "binding", "parts"})
    around = "{{% macro m() %}}1{{% end %}}{{% for i in [1, 2] %}}{}{{% end %}}"
    reached = set()
    for name in names:
        told = [
            render(around.format(form.format(f"{value}.{name}", f"{value}['{name}']")))
            for form in (
                "{{% if {0} is defined %}}1{{% else %}}{{{{absent}}}}{{% end %}}",
                "{{% if {1} is defined %}}1{{% else %}}{{{{absent}}}}{{% end %}}",
            )
        ]
        reached |= {name} if any("rendered" in one for one in told) else set()
    wanted = REACHED.get(KINDS[value], set())
    in_json = {"a"} if KINDS[value] is dict else set()
    assert reached - in_json == wanted


@pytest.mark.slow
@pytest.mark.parametrize(
    "value", ["String(long)", "odd", "percent", "[1]", "(1, [2])", "JSON(json)", "loop", "JSON(wide)"]
)
def test_methods_end_with_any_value(value: str) -> None:
    around = "{{% for i in [1, 2] %}}{}{{% end %}}"
    kind = KINDS.get(value, {"[": list, "(": tuple}.get(value[0], str))
    arguments = ("", "''", "'x'", "'x', String(long)", "Int32(many)", "Int32(minus), Int32(many)", "huge", "JSON(wide)")
    calls = [f"{{{{ {value}.{name}({given}) }}}}" for name in (*REACHED[kind], "format") for given in arguments]
    render_each(around.format(call) for call in calls)
    render_each(
        f"{{% for i in range(10000) %}}{{% set a = {value}.{name}('x') %}}{{% end %}}" for name in REACHED[kind]
    )


OPERATORS = (
    "+",
    "-",
    "*",
    "/",
    "//",
    "%",
    "**",
    "~",
    "==",
    "<",
    ">=",
    "in",
    "not in",
    "and",
    "or",
    "&",
    "|",
    "<<",
    ">>",
)


@pytest.mark.slow
@pytest.mark.parametrize("operator", OPERATORS)
def test_an_operator_ends_with_any_values(operator: str) -> None:
    left = (*WRITTEN, "huge", "Int32(many)", "'%s'", "column('a')", "m()")
    around = "{{% macro m() %}}1{{% end %}}{{{{ {} }}}}"
    render_each(around.format(f"{one} {operator} {other}") for one in left for other in left)


@pytest.mark.parametrize(
    "place",
    [
        "[Int32(many)]",
        "[Int32(minus):]",
        "[::Int32(many)]",
        "[::0]",
        "[long:]",
        "['a']",
        "[None]",
        "[JSON(wide)]",
        "[huge:huge:huge]",
        "()",
        ".a.b",
        "[:]",
    ],
)
def test_a_place_within_any_value_ends(place: str) -> None:
    render_each(
        f"{{{{ {value}{place} }}}}"
        for value in ("String(long)", "JSON(wide)", "JSON(json)", "absent", "range(9)", "(1,)", "Int32(one)")
    )
