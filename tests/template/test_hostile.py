"""No value changes the SQL, whatever it holds; `python -m tests.template.hostile` tries more of them."""

from __future__ import annotations

import random

from hypothesis import given, settings, strategies as st

from clickpipe.engine import Engine
from tests.template.hostile import check, run


@settings(max_examples=300)
@given(choices=st.randoms())
def test_values_never_become_sql(engine: Engine, choices: random.Random) -> None:
    check(engine, choices)


def test_many_values_arrive_whole(engine: Engine) -> None:
    assert run(2_000, engine) > 500
