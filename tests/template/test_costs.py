"""No request makes a template work for long, whatever it asks for."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator

import pytest

from clickpipe.diagnostics import ClickpipeError, Span, Word
from clickpipe.template import Binder, compile_template

LONG = "x" * 200_000
NUMBERS = ",".join(["1"] * 100_000)


@pytest.fixture(autouse=True)
def _no_garbage_collection() -> Iterator[None]:
    """Late in a suite, one of its rounds takes most of a second."""
    gc.disable()
    yield
    gc.enable()


def _run(template: str, **values: object) -> tuple[float, str]:
    text = f"%\nSELECT 1 {template}"
    program, problems = compile_template(Word(text, Span("p.pipe", 0, len(text))))
    assert program is not None, problems
    binder = Binder()
    began = time.thread_time()
    try:
        program.render(values, binder)
    except ClickpipeError as error:
        return time.thread_time() - began, error.message
    except Exception as error:  # noqa: BLE001 - what a mistake of an author's raises is another test's
        return time.thread_time() - began, str(error)
    return time.thread_time() - began, "".join(str(value)[:2_000_000] for value in binder.params.values())


@pytest.mark.parametrize(
    ("template", "values"),
    [
        ("{{round(Int32(x), Int32(n))}}", {"x": "5", "n": "-2000000000"}),
        ("{{round(Int32(x), Int32(n))}}", {"x": "5", "n": "2000000000"}),
        ("{{Int32(x) | round(Int32(n))}}", {"x": "5", "n": "-2000000000"}),
        ("{{Float64(x) | round(Int32(n), 'ceil')}}", {"x": "5", "n": "300000000"}),
        ("{{round(Decimal(x), Int32(n))}}", {"x": "5", "n": "-900000000"}),
        ("{{Decimal(x)}}", {"x": "0E-999999999"}),
        ("{{Decimal(x)}}", {"x": "0E+999999999"}),
        ("{{Decimal(x)}}", {"x": "1E-999999999"}),
        ("{{Decimal(x)}}", {"x": "9" * 400_000}),
        ("{{Decimal(x) ** Int32(n)}}", {"x": "9", "n": "999999999"}),
        ("{{int(Decimal(x) ** Int32(n))}}", {"x": "9", "n": "999999"}),
        ("{{Int32(x) ** Int32(n)}}", {"x": "9", "n": "999999999"}),
        ("{{Int32(x) ** Int32(n) ** Int32(n)}}", {"x": "9", "n": "999"}),
        ("{{'ab' * Int32(n)}}", {"n": "2000000000"}),
        ("{{[1] * Int32(n)}}", {"n": "2000000000"}),
        ("{% for i in range(Int32(n)) %}{{i}}{% end %}", {"n": "2000000000"}),
        ("{% for i in range(0, Int64(n), 1) %}{{i}}{% end %}", {"n": "9000000000000000000"}),
        ("{% while Int32(n) %}{% end %}", {"n": "1"}),
        ("{% for i in range(10000) %}{% set a = sorted(String(x)) %}{% end %}", {"x": LONG}),
        ("{% for i in range(10000) %}{% set a = list(String(x)) %}{% end %}", {"x": LONG}),
        ("{% for i in range(10000) %}{% if 'y' in String(x) %}1{% end %}{% end %}", {"x": LONG}),
        ("{% for i in range(10000) %}{% if 7 in Array(x, 'Int32') %}1{% end %}{% end %}", {"x": NUMBERS}),
        ("{% for i in range(10000) %}{% set a = String(x) | sort | unique | list %}{% end %}", {"x": LONG}),
        ("{% for i in range(10000) %}{% set a = String(x) | upper | reverse | title %}{% end %}", {"x": LONG}),
        ("{% for i in range(10000) %}{% set a = split_to_array(x) %}{% end %}", {"x": NUMBERS}),
        ("{% for i in range(10000) %}{% set a = JSON(x) %}{% end %}", {"x": f"[{NUMBERS}]"}),
        ("{% for i in range(10000) %}{% set a = max(Array(x, 'Int32')) %}{% end %}", {"x": NUMBERS}),
        ("{% for i in range(10000) %}{% set a = String(x).replace('x', 'yy') %}{% end %}", {"x": LONG}),
        ("{% for i in range(10000) %}{% set a = String(x).split('x') %}{% end %}", {"x": LONG}),
        ("{% for i in range(10000) %}{{day_diff(x, x)}}{% end %}", {"x": LONG}),
        ("{{Int256(x)}}", {"x": "9" * 1_000_000}),
        ("{{String(x) ~ String(x) ~ String(x)}}", {"x": LONG * 4}),
        ("{{String(x) | string | string}}", {"x": LONG}),
        ("{{JSON(x)}}", {"x": "[" * 100_000}),
    ],
)
def test_no_value_makes_a_template_work_for_long(template: str, values: dict[str, object]) -> None:
    seconds, told = _run(template, **values)
    assert seconds < 3.0
    assert len(told) < 3_000_000


@pytest.mark.parametrize(
    ("template", "values", "given"),
    [
        ("{{round(Float64(x), 2)}}", {"x": "1.005"}, "1.0"),
        ("{{round(Float64(x))}}", {"x": "2.6"}, "3"),
        ("{{Float64(x) | round(1, 'ceil')}}", {"x": "2.61"}, "2.7"),
        ("{{int(x)}}", {"x": "12"}, "12"),
        ("{{Decimal(x)}}", {"x": "0.50"}, "0.50"),
        ("{{Decimal(x)}}", {"x": "1E+3"}, "1000"),
        ("{{sum(Array(x, 'Int32'))}}", {"x": "1,2,3"}, "6"),
        ("{{max(Int32(a), Int32(b))}}", {"a": "1", "b": "7"}, "7"),
        ("{{Array(x, 'String') | join('-')}}", {"x": "a,b"}, "a-b"),
    ],
)
def test_what_people_write_works_as_before(template: str, values: dict[str, object], given: str) -> None:
    assert _run(template, **values)[1] == given
