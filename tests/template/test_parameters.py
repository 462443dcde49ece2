"""What a template asks for, read without running it, and the values it is checked with."""

from __future__ import annotations

import pytest

from clickpipe.template import Parameter
from tests.template.test_renders import program


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("%\n{{Int32(limit, 10)}}", [Parameter("limit", "Int32", 10, required=False, typed=True)]),
        ("%\n{{Int32(limit, default=10)}}", [Parameter("limit", "Int32", 10, required=False, typed=True)]),
        ("%\n<<String(id)>>", [Parameter("id", typed=True)]),
        ("%\n{{Array(ids, 'Int32')}}", [Parameter("ids", "Array(Int32)", typed=True)]),
        ("%\n{{Array(ids, \"'free', 'paid'\")}}", [Parameter("ids", "Array(String)", typed=True)]),
        ("%\n{{Array(ids, 'Int32', '1,2')}}", [Parameter("ids", "Array(Int32)", "1,2", required=False, typed=True)]),
        ("%\n{{x}}", [Parameter("x")]),
        # A call without a default makes it required, where it runs when nothing is given.
        ("%\n{% if defined(x) %}{{Date(x)}}{% end %}", [Parameter("x", "Date", required=False, typed=True)]),
        ("%\n{% if not defined(x) %}{{error('no x')}}{% end %}{{Date(x)}}", [Parameter("x", "Date", typed=True)]),
        ("%\n{{String(x, 'a')}} {{String(x)}}", [Parameter("x", "String", "a", required=True, typed=True)]),
        (
            "%\n{{String(x, 'a', description='what', enum=['a', 'b'], example='b')}}",
            [
                Parameter(
                    "x", "String", "a", required=False, description="what", enum=("a", "b"), example="b", typed=True
                )
            ],
        ),
        # Names that the template sets itself are no parameters.
        ("%\n{% set y = Int32(x, 1) %}{{y}}{% for i in range(2) %}{{i}}{{loop.index}}{% end %}", ["x"]),
        ("%\nSELECT 1", []),
        ("SELECT '{{' AS not_a_template", []),
    ],
)
def test_parameters(template: str, expected: list[Parameter | str]) -> None:
    found = program(template).parameters
    assert [p.name if isinstance(e, str) else p for p, e in zip(found, expected, strict=True)] == expected


@pytest.mark.parametrize(
    ("template", "least"),
    [
        ("%\n{{Int32(a, 1)}}", {}),
        ("%\n{{Int32(a)}}", {"a": "1"}),
        # A branch that runs only when a parameter is absent is checked too.
        ("%\n{% if not defined(a) %}x{% else %}{{String(a)}}{% end %}", {}),
        ("%\n{% if defined(a) %}{{String(b)}}{% else %}{{Date(c)}}{% end %}", {"c": "2023-01-01"}),
        ("%\n{{a}} {{String(b, enum=['p', 'q'])}}", {"a": "x", "b": "p"}),
        ("%\n{% if not defined(a) %}{{error('give a')}}{% end %}{{String(a)}}", {"a": "x"}),
    ],
)
def test_the_least_that_may_be_given(template: str, least: dict[str, str]) -> None:
    assert program(template).samples()[0].values == least
