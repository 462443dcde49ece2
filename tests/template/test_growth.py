"""What grows without end in a template is refused, and what is within the limits is rendered in time."""

from __future__ import annotations

import pytest

from clickpipe.diagnostics import Span, Word
from clickpipe.template import compile_template
from tests.template.reach import render


def _doubled(made: str, times: int = 40, *, block: bool = False) -> str:
    """Return what has a variable hold itself twice, over and over."""
    begin = "{% set a %}x{{one}}{% end %}" if block else "{% set a = [1] %}{% set b = [1] %}"
    return begin + made * times


DOUBLED = {
    "set": _doubled("{% set a = [a, a] %}{% set b = [b, b] %}"),
    "both": _doubled("{% set a, z = [a, a], 1 %}{% set b, z = [b, b], 1 %}"),
    "tuples": _doubled("{% set a, z = (a, a), 1 %}{% set b, z = (b, b), 1 %}"),
    "dicts": _doubled("{% set a, z = {'a': a, 'b': a}, 1 %}{% set b, z = {'a': b, 'b': b}, 1 %}"),
    "sums": _doubled("{% set a, z = [a] + [a], 1 %}{% set b, z = [b] + [b], 1 %}"),
    "products": _doubled("{% set a, z = [a] * 2, 1 %}{% set b, z = [b] * 2, 1 %}"),
    "slices": _doubled("{% set a, z = [a[:], a[:]], 1 %}{% set b, z = [b[:], b[:]], 1 %}"),
    "lists": _doubled("{% set a, z = list([a, a]), 1 %}{% set b, z = list([b, b]), 1 %}"),
    "choices": _doubled("{% set a, z = [a, a] if 1 else 2, 1 %}{% set b, z = 0 or [b, b], 1 %}"),
    "texts": _doubled("{% set a, z = a ~ a, 1 %}{% set b, z = b ~ b, 1 %}"),
    "arguments": "{% macro m(a, b, n) %}{% if n %}{{ m([a, a], [b, b], n - 1) }}"
    "{% elif a == b %}1{% end %}{% end %}{{ m(1, 1, 60) }}",
    "spread": "{% macro m(n) %}{% if n %}{{ m(n - 1, varargs, varargs) }}"
    "{% elif varargs == [1] %}1{% end %}{% end %}{{ m(60, 1) }}",
}


@pytest.mark.parametrize("made", DOUBLED)
def test_nothing_grows_by_holding_itself(made: str) -> None:
    use = "{% if a == b %}1{% end %}"
    for template in (DOUBLED[made], f"{{% macro n() %}}{DOUBLED[made]}{use}{{% end %}}{{{{ n() }}}}"):
        assert "rendered" not in render(template)


@pytest.mark.parametrize(
    "template",
    [
        _doubled("{% set a %}{{a}}{{a}}{% end %}", block=True) + "{{a}}",
        "{% macro m() %}" + _doubled("{% set a %}{{a}}{{a}}{% end %}", block=True) + "{{a}}{% end %}{{m()}}",
        "{% macro m() %}{{caller()}}{{caller()}}{% end %}" + "{% call m() %}" * 16 + "{{one}}" + "{% end %}" * 16,
        "{% macro m() %}{{m()}}{% end %}{{m()}}",
        "{% macro m() %}{{m()}}{{m()}}{% end %}{{m()}}",
        "{% macro m(n) %}{{n(n)}}{% end %}{{m(m)}}",
        "{% for i in [1] recursive %}{{loop([1])}}{% end %}",
        "".join(f"{{% for a{n} in range(10000) %}}" for n in range(5)) + "1" + "{% end %}" * 5,
        "{% for i in range(10000) %}" + "y" * 100_000 + "{% end %}",
        "{% for i in range(10**30) %}{% end %}",
        "{% while 1 %}{{one}}{% end %}",
        "{% set a = 'x' %}{% for i in range(60) %}{% set a = a ~ a %}{% end %}{{a}}",
        "{% set a = 2 %}{% for i in range(60) %}{% set a = a * a %}{% end %}{{a}}",
        "{% set a = [1] %}{% for i in range(60) %}{% set a = a + a %}{% end %}{{a}}",
        "{{ " + "9" * 5_000 + " }}",
        "{% if " + "9" * 5_000 + " %}1{% end %}",
        "{{ " + "(" * 3_000 + "1" + ")" * 3_000 + " }}",
        "{{ " + "-" * 3_000 + "1 }}",
        "{% if 1 %}" * 300 + "{% end %}" * 300,
        "{{ JSON(deep) }}",
        "{{ [JSON(deep)] }}",
        "{{ sql_and(**JSON(json)) }}",
        "{% include 'a' %}",
        "{% import 'a' as b %}",
        "{% extends 'a' %}",
        "{% block a %}{% end %}",
        "{% filter upper %}a{% end %}",
        "{{ custom_error('a', 100) }}",
        "{{ custom_error('a', 99999) }}",
        "{{ custom_error('a', Decimal(far)) }}",
        "{{ custom_error({'a': JSON(floats)}) }}",
        "{{ custom_error({(1, 2): 1}) }}",
        "{{ custom_error({'a': one.upper}) }}",
        "{{ {'a': one.upper} }}",
        "{{ {'a': [len, String]} }}",
        "{{ one.upper ~ 'a' }}",
        "{{ str(one.upper) }}",
        "{{ error(one.upper) }}",
        "{{ [one.upper] | join }}",
        "{{ one.upper | string }}",
    ],
)  # fmt: skip
def test_what_has_no_end_is_refused(template: str) -> None:
    assert "rendered" not in render(template)


@pytest.mark.parametrize(
    "template",
    [
        "{% for i in range(10000) %}{{i}},{% end %}",
        "{% for i in range(10000) %}'x{{i}}' {% end %}",
        "'{% for i in range(10000) %}x{{String(one)}}{% end %}'",
        "{% for i in range(5000) %}INTERVAL {{String(one)}} DAY {% end %}",
        "{% for i in range(10000) %}{{column('a')}}{% end %}",
        "{{ 1e999 }} {{ 1e308 - -1e308 }}",
        "{% set a = [Array(numbers, 'Int32'), long] %}{{ a[0] }}",
        "{% set a %}{% for i in range(9000) %}{{i}} {% end %}{% end %}{{a}}",
        "{{ JSON(wide) }}",
    ],
)  # fmt: skip
def test_what_is_within_the_limits_is_rendered_in_time(template: str) -> None:
    assert "rendered" in render(template)


def test_the_tags_of_a_caller_have_an_end() -> None:
    text = "%\nSELECT 1" + "{{ a(1) }}" * 4_000
    program, problems = compile_template(Word(text, Span("query", 0, len(text))), most=20_000)
    assert program is None
    assert "more than 20000 words" in problems[0].message
    few = "%\nSELECT 1 /* " + "{ word " * 30_000 + "*/ {{Int32(a, 1)}}"
    assert compile_template(Word(few, Span("query", 0, len(few))), most=20_000)[0] is not None
