"""Every pattern of the package: whoever gives a text to `re`, its text is found out, or the call is listed here."""

from __future__ import annotations

import ast
import importlib
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import clickpipe

ROOT = Path(clickpipe.__file__).parent
METHODS = frozenset({"match", "fullmatch", "search", "finditer", "findall", "sub", "subn", "split"})
_COMPILES = METHODS | {"compile"}
_LOOPS = (ast.While, ast.For, ast.comprehension, ast.GeneratorExp, ast.ListComp, ast.SetComp, ast.DictComp)
_HARMLESS = {"escape", "error", "Pattern", "Match"} | {name for name in dir(re) if name.isupper()}
_ESCAPED = "a-b"  # what stands for a text that is escaped

# Texts that are made at run time: what makes them, as an expression in their module, and what it stands for.
LISTED = {
    (
        "clickpipe.query.statements",
        "re.fullmatch(pattern, text, re.IGNORECASE | re.DOTALL)",
    ): "[p for p, _ in _STATEMENTS]",
    (
        "clickpipe.project.defaults",
        "re.fullmatch(form[1], literal[1], re.DOTALL | re.IGNORECASE)",
    ): "[f[1] for f in _FORMS]",
    # `call` is a type's name as the compiler writes it: letters and digits
    (
        "clickpipe.compiler.conflicts",
        r"re.search(f'\\b{call}\\s*\\(\\s*{re.escape(parameter.name)}\\b', source.text)",
    ): r"['\\bInt32\\s*\\(\\s*a\\-b\\b']",
}


@dataclass(frozen=True)
class Used:
    """A pattern, where it stands, and whether it is only tried at one place of a text."""

    where: str
    pattern: re.Pattern[Any]
    once: bool


@dataclass(frozen=True)
class Source:
    """A module's syntax, with the nodes above each node, and what it holds once it is imported."""

    name: str
    tree: ast.Module
    above: Mapping[ast.AST, ast.AST]
    held: Mapping[str, Any]

    @staticmethod
    def of(name: str, text: str, held: Mapping[str, Any]) -> Source:
        """Read a module's text."""
        tree = ast.parse(text)
        above = {inner: node for node in ast.walk(tree) for inner in ast.iter_child_nodes(node)}
        return Source(name, tree, above, held)

    def around(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield the nodes above one, the nearest first."""
        while node in self.above:
            node = self.above[node]
            yield node


@cache
def sources() -> tuple[Source, ...]:
    """Return all modules of the package."""
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        name = ".".join(("clickpipe", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
        if not name.endswith("__main__"):
            found.append(Source.of(name, path.read_text(encoding="utf-8"), vars(importlib.import_module(name))))
    return tuple(found)


def patterns(every: tuple[Source, ...]) -> tuple[list[Used], list[str]]:
    """Return the patterns in modules, and the calls whose pattern is not found out."""
    found: list[Used] = []
    unknown: list[str] = []
    used = _methods(every)
    for source in every:
        for node in ast.walk(source.tree):
            unknown += _imports(source, node)
            if not (isinstance(node, ast.Name) and isinstance(source.held.get(node.id), type(re))):
                continue
            if source.held[node.id] is not re:
                continue
            attribute = source.above[node]
            what = attribute.attr if isinstance(attribute, ast.Attribute) else ""
            call = source.above[attribute]
            if what in _HARMLESS:
                continue
            where = next((f"{source.name}.{name}" for name in _assigned(source, call)), f"{source.name}:{node.lineno}")
            if what not in _COMPILES or not isinstance(call, ast.Call) or call.func is not attribute:
                unknown.append(f"{where}: {ast.unparse(call)}")
                continue
            texts = _texts(source, call, every)
            if not texts:
                unknown.append(f"{where}: {ast.unparse(call)}")
            once = _is_once(source, call, what, used)
            found += [Used(where, re.compile(text, _flags(source, call, what)), once) for text in texts]
    return found, unknown


def _imports(source: Source, node: ast.AST) -> list[str]:
    """Return what is imported in place of `re`: only its types may be."""
    if isinstance(node, ast.ImportFrom) and node.module in {"re", "regex"}:
        return [f"{source.name}: from re import {n.name}" for n in node.names if n.name not in _HARMLESS]
    names = [n.name for n in node.names] if isinstance(node, ast.Import) else []
    inside = "re" in names and not isinstance(source.above[node], ast.Module)
    return [f"{source.name}: import"] if inside or "regex" in names else []


def _texts(source: Source, call: ast.Call, every: tuple[Source, ...]) -> list[Any]:
    if (listed := LISTED.get((source.name, ast.unparse(call)))) is not None:
        return list(eval(listed, dict(source.held)))  # noqa: S307 - written above
    given = [*call.args[:1], *(k.value for k in call.keywords if k.arg == "pattern")]
    return [v for v in _values(source, given[0], every) if isinstance(v, str | bytes)] if given else []


def _values(source: Source, expression: ast.expr, every: tuple[Source, ...], depth: int = 0) -> list[Any]:
    """Return what an expression may be: its names are those of the module, of a function's own and of its callers."""
    found = []
    for escaped in (re.escape(_ESCAPED), re.escape(_ESCAPED.encode())):
        body = _Escaped(escaped).visit(ast.parse(ast.unparse(expression), mode="eval").body)
        names = {n.id for n in ast.walk(body) if isinstance(n, ast.Name)}
        local = {name: _local(source, expression, name, every, depth) for name in sorted(names)}
        known = {name: values for name, values in local.items() if values is not None}
        code = compile(ast.fix_missing_locations(ast.Expression(body)), source.name, "eval")
        for values in itertools.product(*known.values()):
            try:
                found.append(eval(code, {**source.held, **dict(zip(known, values, strict=True))}))  # noqa: S307 - ours
            except (NameError, TypeError, AttributeError, OSError):
                continue
    return list(dict.fromkeys(found))


class _Escaped(ast.NodeTransformer):
    """Puts a text in place of what is escaped: whatever it is, it is taken as it stands."""

    def __init__(self, text: str | bytes) -> None:
        self._text = text

    def visit_Call(self, node: ast.Call) -> ast.expr:
        if ast.unparse(node.func) == "re.escape":
            return ast.Constant(self._text)
        self.generic_visit(node)
        return node


def _local(source: Source, at: ast.AST, name: str, every: tuple[Source, ...], depth: int) -> list[Any] | None:
    """Return the values of a function's own name, or None where the name is the module's."""
    for function in source.around(at):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        arguments = [a.arg for a in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
        if name in arguments:
            return _given(function.name, arguments.index(name), name, every, depth)
        assigned = [
            node.value
            for node in ast.walk(function)
            if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets)
        ]
        if assigned:
            return [v for value in assigned for v in _values(source, value, every, depth + 1)]
        if any(isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Store) for n in ast.walk(function)):
            return []
    return None


def _given(function: str, at: int, name: str, every: tuple[Source, ...], depth: int) -> list[Any]:
    """Return what a function is called with, anywhere."""
    found: list[Any] = []
    for source in every if depth < 3 else ():
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == function:
                values = [*node.args[at : at + 1], *(k.value for k in node.keywords if k.arg == name)]
                found += [v for value in values for v in _values(source, value, every, depth + 1)]
    return found


def _flags(source: Source, call: ast.Call, what: str) -> int:
    at = {"compile": 1, "sub": 4, "subn": 4, "split": 3}.get(what, 2)
    given = [*call.args[at : at + 1], *(k.value for k in call.keywords if k.arg == "flags")]
    return int(eval(ast.unparse(given[0]), dict(source.held))) if given else 0  # noqa: S307 - our own code


def _methods(every: tuple[Source, ...]) -> dict[tuple[str, str], set[str]]:
    """Return what is done with patterns, by module and name. At one place of a text after another it is a search."""
    found: dict[tuple[str, str], set[str]] = {}
    for source in every:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Attribute) and node.attr in METHODS:
                of = node.value.value if isinstance(node.value, ast.Subscript) else node.value
                name = of.id if isinstance(of, ast.Name) else of.attr if isinstance(of, ast.Attribute) else ""
                call = source.above[node]
                many = (
                    isinstance(call, ast.Call)
                    and len(call.args) > 1
                    and any(isinstance(n, _LOOPS) for n in source.around(node))
                )
                found.setdefault((source.name, name), set()).add("search" if many else node.attr)
    return found


def _is_once(source: Source, call: ast.Call, what: str, used: Mapping[tuple[str, str], set[str]]) -> bool:
    if what != "compile":
        return what in {"match", "fullmatch"}
    names = _assigned(source, call)
    done = set[str]().union(
        *(does for (module, name), does in used.items() if name in names and (module == source.name or name[:1] != "_"))
    )
    return done != set() and done <= {"match", "fullmatch"}


def _assigned(source: Source, call: ast.AST) -> list[str]:
    """Return the names that a pattern is kept under."""
    parent = source.above.get(call)
    targets = [parent.target] if isinstance(parent, ast.AnnAssign) else getattr(parent, "targets", [])
    return [ast.unparse(target).rpartition(".")[2] for target in targets]
