"""What only ClickHouse has is named in `engine/` alone, so that another engine means another folder there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import clickpipe
from clickpipe.engine import LIMITS, Engine, engine_settings

ROOM = Path(clickpipe.__file__).parent
INTERNAL = re.compile(
    r"\bsystem\.[a-z_]+\b"
    r"|\b(?:ATTACH|DETACH|REPLACE|MOVE)\s+PART(?:ITION)?\b"
    r"|\bEXCHANGE\s+TABLES\b"
    r"|\bKILL\s+(?:QUERY|MUTATION)\b"
    r"|\bSYSTEM\s+(?:STOP|START|FLUSH|DROP|RELOAD|SYNC)\b"
    r"|\bOPTIMIZE\s+TABLE\b"
)
# SQL of callers: what they may read, what is told to their clients, what is refused.
OF_CALLERS = {"sql/guard.py", "query/statements.py", "query/system_tables.py", "query/clients.py"}
# Rooms whose subject is settings that authors and callers write, and modules that are about those.
LANGUAGE = ("engine", "sql", "template", "compiler", "project", "datafile", "generate", "config", "cli")
SETTINGS_OF_CALLERS = {"query/client_settings.py", "query/formats.py", "query/statements.py", "query/own_sql.py"}
SETTINGS_OF_CALLERS |= {"server/clickhouse.py", "server/clickhouse_wire.py"}
WORDS = frozenset(LIMITS)  # our own names of limits


def _texts(source: str) -> Iterator[tuple[int, str]]:
    """Yield the strings of a module with their lines, but for docstrings."""
    tree = ast.parse(source)
    told = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.lineno, node.value


def _found(source: str) -> list[tuple[int, str]]:
    return [(line, match[0]) for line, text in _texts(source) for match in INTERNAL.finditer(text)]


def test_no_internals_of_clickhouse_outside_the_engine() -> None:
    modules = {str(path.relative_to(ROOM)): path for path in ROOM.rglob("*.py")}
    assert modules.keys() >= OF_CALLERS
    elsewhere = {name: _found(path.read_text()) for name, path in modules.items() if not name.startswith("engine/")}
    assert {name: found for name, found in elsewhere.items() if found and name not in OF_CALLERS} == {}
    assert any(_found(path.read_text()) for name, path in modules.items() if name.startswith("engine/"))


def test_no_setting_of_clickhouse_outside_the_engine(engine: Engine) -> None:
    names = {name for name, _, _ in engine_settings(engine) if "_" in name} - WORDS
    assert len(names) > 1_000
    elsewhere: dict[str, list[tuple[int, str]]] = {}
    for path in ROOM.rglob("*.py"):
        name = str(path.relative_to(ROOM))
        if not name.startswith(LANGUAGE) and name not in SETTINGS_OF_CALLERS:
            found = [(line, text) for line, text in _texts(path.read_text()) if text in names]
            elsewhere |= {name: found} if found else {}
    assert elsewhere == {}
    assert {"log_comment", "max_threads"} <= {text for _, text in _texts((ROOM / "engine/settings.py").read_text())}


@pytest.mark.parametrize(
    "source",
    [
        'def f(x):\n    return x(f"ALTER TABLE {x} ATTACH PARTITION ALL FROM {x}")',
        'SQL = "SELECT 1 FROM system.parts"',
        'SQL = (\n    "SELECT 1 "\n    "FROM system.tables"\n)',
        'x(f"EXCHANGE TABLES {a} AND {b}")',
        'x("SYSTEM FLUSH LOGS")',
    ],
)
def test_internals_are_found(source: str) -> None:
    assert len(_found(source)) == 1


@pytest.mark.parametrize(
    "source", ['"""Reads system.tables."""', "def f():\n    '''EXCHANGE TABLES'''", "# system.parts\nx = 1"]
)
def test_prose_names_them(source: str) -> None:
    assert _found(source) == []
