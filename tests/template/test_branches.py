"""Which ways through a template are found."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import pytest
from hypothesis import given, strategies as st

from clickpipe.template import branches
from clickpipe.template.branches import Sample
from clickpipe.template.shape import template_shape


def ways(template: str) -> tuple[Sample, ...]:
    return branches.explore(template_shape(f"%\n{template}").text)


@pytest.mark.parametrize(
    ("template", "count"),
    [
        ("SELECT {{Int32(a, 1)}}", 1),
        ("{% if defined(a) %}1{% end %}", 2),
        ("{% if defined(a) %}1{% end %}{% if defined(b) %}2{% end %}", 4),
        # correlated conditions: one parameter decides both
        ("{% if defined(a) %}1{% end %}{% if not defined(a) %}2{% end %}", 2),
        ("{% if defined(a) %}{% if defined(a) %}1{% else %}never{% end %}{% end %}", 2),
        ("{% if a == 'day' %}1{% elif a == 'week' %}2{% else %}3{% end %}", 3),
        ("{% if a in ['x', 'y'] %}1{% elif defined(a) and a.startswith('z') %}2{% end %}", 3),
        ("{% if Int32(n, 0) > 10 %}1{% elif Int32(n, 0) < 3 %}2{% else %}3{% end %}", 3),
        ("{% set n = Int32(n, 0) + 1 %}{% if n == 6 %}1{% else %}2{% end %}", 2),
        ("{% if Boolean(flag, 1) %}1{% else %}2{% end %}", 2),
        ("{% if day_diff(a, b) > 90 %}1{% else %}2{% end %}", 2),
        ("{% if String(unit, 'a', enum=['a', 'b', 'c']) == unit and unit == 'c' %}1{% else %}2{% end %}", 2),
        ("{{ String(a) if defined(a) else Int32(b, 1) }}", 2),
        # a call that ends with an error is no way through
        ("{% if not defined(a) %}{{error('give a')}}{% end %}{{String(a)}}", 1),
        ("{% if defined(a) %}{{String(b)}}{% else %}{{Date(c)}}{% end %}", 2),
        ("{% macro m(x) %}{% if defined(x) %}1{% end %}{% end %}{{ m(a) }}", 2),
    ],
)
def test_every_way_is_found_once(template: str, count: int) -> None:
    found = ways(template)
    assert len(found) == count


def test_a_required_parameter_is_given_where_it_is_needed() -> None:
    found = [set(s.values) for s in ways("{% if defined(a) %}{{String(b)}}{% else %}{{Date(c)}}{% end %}")]
    assert {"c"} in found
    assert any({"a", "b"} <= names for names in found)


@given(st.lists(st.lists(st.integers(0, 5).map(str), min_size=1, max_size=4, unique=True), min_size=2, max_size=7))
def test_pairwise_has_each_pair(options: list[list[str]]) -> None:
    rows = branches._pairwise(options)
    for i, j in product(range(len(options)), repeat=2):
        if i < j:
            assert {(row[i], row[j]) for row in rows} == set(product(options[i], options[j]))


def test_many_conditions_end() -> None:
    template = "".join(f"{{% if p{n} == 'a' %}}{n}{{% elif p{n} == 'b' %}}x{{% end %}}" for n in range(12))
    found = ways(template)
    seen: set[tuple[str, str | None]] = {(name, value) for s in found for name, value in pairs(s.values)}
    assert {(f"p{n}", v) for n in range(12) for v in ("a", "b")} <= seen
    assert len(found) <= 512


def pairs(values: Mapping[str, str]) -> list[tuple[str, str | None]]:
    return list(values.items())
