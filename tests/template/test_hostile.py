"""No value changes the SQL, whatever it holds; `python -m tests.template.hostile` tries more of them."""

from __future__ import annotations

from clickpipe.engine import Engine
from tests.template.hostile import run


def test_values_never_become_sql(engine: Engine) -> None:
    assert run(2_000, engine) > 500
