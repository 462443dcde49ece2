"""How the rooms are wired: parts with declared constructors, and no functions handed from room to room."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import clickpipe

ROOT = Path(clickpipe.__file__).parent
ROOMS = ("auth", "bus", "catalog", "connect", "deploy", "ingest", "jobs", "observe")
# Constructors of these rooms that may take a function, and why.
ALLOWED = {
    "jobs.Report": "the one interface for progress; a program that runs a job itself decides where that goes",
    "observe.Metrics": "a gauge is read whenever someone asks for the metrics",
    "auth.RateLimit": "the clock, for tests",
}


def _classes(room: str) -> Iterator[tuple[ast.ClassDef, Path]]:
    for path in sorted((ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                yield node, path


def _exported(room: str) -> set[str]:
    """Return the names that other rooms may use."""
    for node in ast.parse((ROOT / room / "__init__.py").read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def _function_types() -> set[str]:
    """Return the names that mean a function's type: `Callable`, and aliases of it such as `Secrets`."""
    found, before = {"Callable", "Awaitable"}, 0
    while before != len(found):
        before = len(found)
        for path in ROOT.rglob("*.py"):
            for node in ast.parse(path.read_text()).body:
                match node:
                    case ast.Assign([ast.Name(name)], ast.Subscript() | ast.BinOp() as value) if _names(value) & found:
                        found.add(name)
    return found - {node.name for room in ROOMS for node, _ in _classes(room)}  # `Tables` is a class in `deploy`


def _names(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def _taken(node: ast.ClassDef) -> Iterator[ast.expr]:
    """Yield the annotations of a constructor's parameters; of a dataclass, those of its fields."""
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            for each in (*item.args.args, *item.args.kwonlyargs):
                if each.annotation is not None:
                    yield each.annotation
        if isinstance(item, ast.AnnAssign) and any("dataclass" in _names(one) for one in node.decorator_list):
            yield item.annotation


def test_no_constructor_of_a_room_takes_a_function() -> None:
    functions = _function_types()
    assert {"Secrets", "Progress", "Work"} <= functions
    found = {
        f"{room}.{node.name}"
        for room in ROOMS
        for node, _ in _classes(room)
        if node.name in _exported(room) and any(_names(annotation) & functions for annotation in _taken(node))
    }
    assert found == ALLOWED.keys()


def test_the_runtime_declares_every_attribute_and_replaces_no_method() -> None:
    """A mixin would only annotate what another class is to set; a part gets it in its constructor."""
    problems = []
    for node, path in _classes("runtime"):
        dataclass = any("dataclass" in _names(one) for one in node.decorator_list)
        protocol = any("Protocol" in _names(base) for base in node.bases)
        methods = {item.name for item in node.body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)}
        properties = {item.name for item in node.body if isinstance(item, ast.FunctionDef) and item.decorator_list}
        annotated = [item for item in node.body if isinstance(item, ast.AnnAssign)]
        if annotated and not (dataclass or protocol):
            problems.append(f"{path.name}: {node.name} only annotates attributes")
        replaced = {target.attr for target in _assigned(node)} & (methods - properties)
        problems += [f"{path.name}: {node.name} replaces its method {name}" for name in replaced]
        if any(isinstance(value, ast.Lambda) for value in _values(node)):
            problems.append(f"{path.name}: {node.name} keeps a lambda")
    assert problems == []


def _assigned(node: ast.ClassDef) -> Iterator[ast.Attribute]:
    for item in ast.walk(node):
        for target in item.targets if isinstance(item, ast.Assign) else ():
            for each in target.elts if isinstance(target, ast.Tuple) else (target,):
                if isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name) and each.value.id == "self":
                    yield each


def _values(node: ast.ClassDef) -> Iterator[ast.expr]:
    for item in ast.walk(node):
        if isinstance(item, ast.Assign) and any(isinstance(target, ast.Attribute) for target in item.targets):
            yield item.value


@pytest.mark.parametrize("module", sorted(path.name for path in (ROOT / "runtime").glob("*.py")))
def test_nobody_hands_on_a_half_built_object(module: str) -> None:
    """No constructor gives `self` to another object."""
    for node in ast.walk(ast.parse((ROOT / "runtime" / module).read_text())):
        if not (isinstance(node, ast.FunctionDef) and node.name == "__init__"):
            continue
        for call in ast.walk(node):
            if isinstance(call, ast.Call):
                given = [*call.args, *(word.value for word in call.keywords)]
                assert not any(isinstance(each, ast.Name) and each.id == "self" for each in given), ast.unparse(call)
