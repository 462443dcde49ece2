"""Templates: binding and rendering for a request, compiling, and finding the ways through one."""

from __future__ import annotations

import time
from collections.abc import Callable

import jinja2

from clickpipe.compiler import compile_project
from clickpipe.diagnostics import Span, Word
from clickpipe.engine import EmbeddedEngine, throwaway
from clickpipe.project import load_texts
from clickpipe.template import Binder, TemplateProgram, branches, compile_template, shape

TEMPLATE = """%
SELECT page_url, count() AS views, 'a text' AS note
FROM clickstream_events
WHERE timestamp >= {{DateTime(start_date, '2023-01-01 00:00:00')}}
  AND timestamp < {{DateTime(end_date, '2024-01-01 00:00:00')}}
{% if defined(device) %}  AND device_type = {{String(device)}} {% end %}
GROUP BY page_url ORDER BY views DESC LIMIT {{Int32(limit, 10)}}
"""
# The same for jinja2 alone, which writes values into the text.
PLAIN = """
SELECT page_url, count() AS views, 'a text' AS note
FROM clickstream_events
WHERE timestamp >= {{ start_date|default('2023-01-01 00:00:00')|quoted }}
  AND timestamp < {{ end_date|default('2024-01-01 00:00:00')|quoted }}
{% if device is defined %}  AND device_type = {{ device|quoted }} {% endif %}
GROUP BY page_url ORDER BY views DESC LIMIT {{ limit|default(10)|int }}
"""
VALUES = {"start_date": "2023-05-01 00:00:00", "end_date": "2023-06-01 00:00:00", "device": "mobile", "limit": "20"}
_ESCAPES = str.maketrans({"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"})


def main() -> None:
    """Print microseconds a request, their ratio to plain jinja2, and what compiling and looking for branches take."""
    program = _program(TEMPLATE)
    environment = jinja2.Environment(autoescape=False)  # noqa: S701 - the filter escapes
    environment.filters["quoted"] = lambda value: "'" + str(value).translate(_ESCAPES) + "'"
    plain = environment.from_string(PLAIN)
    ours, theirs = [], []
    for _ in range(7):  # by turns, so that both meet the same machine
        theirs.append(_microseconds(lambda: plain.render(**VALUES)))
        ours.append(_microseconds(lambda: program.render(VALUES, Binder())))
    baseline, bound = sorted(theirs)[3], sorted(ours)[3]
    print(f"baseline: jinja2 renders the template with escaped texts: {baseline:.1f} us")
    print(f"bind and render, 4 parameters and a condition: {bound:.1f} us, ratio {bound / baseline:.2f}")
    print(f"compile a template, not seen before: {_compile():.0f} us")
    ways, seconds = _branches()
    print(f"ways through templates of 7 conditions: {ways} found, {ways / seconds:,.0f} a second")
    checked, seconds = _check()
    print(f"the same checked by ClickHouse: {checked} renderings, {checked / seconds:,.0f} a second")


def _program(text: str) -> TemplateProgram:
    program, diagnostics = compile_template(Word(text, Span("p.pipe", 0, len(text))))
    assert program is not None, diagnostics
    return program


def _microseconds(work: Callable[[], object], times: int = 5_000) -> float:
    started = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - started) / times * 1e6


def _compile() -> float:
    names = iter(range(1_000_000))
    return _microseconds(lambda: _program(TEMPLATE.replace("device", f"device_{next(names)}")), 200)


def _texts() -> list[str]:
    conditions = "".join(f"{{% if defined(p{n}) %}} AND c{n} = {{{{String(p{n})}}}} {{% end %}}" for n in range(7))
    return [f"%\n    SELECT c0 FROM t WHERE 1 {conditions} LIMIT {{{{Int32(limit_{n}, 1)}}}}" for n in range(20)]


def _branches() -> tuple[int, float]:
    shapes = [shape.template_shape(text).text for text in _texts()]
    started = time.perf_counter()
    found = sum(len(branches.explore(text)) for text in shapes)
    return found, time.perf_counter() - started


def _check() -> tuple[int, float]:
    columns = ",\n".join(f"    c{n} String" for n in range(7))
    files = {"t.datasource": f"SCHEMA >\n{columns}\n\nENGINE MergeTree\nENGINE_SORTING_KEY c0\n"}
    files |= {f"p{n}.pipe": f"NODE n\nSQL >\n    {text}\n\nTYPE endpoint\n" for n, text in enumerate(_texts())}
    engine = EmbeddedEngine(workers=2)
    started = time.perf_counter()
    compiled = compile_project(load_texts(files), throwaway(engine))
    seconds = time.perf_counter() - started
    engine.close()
    assert not compiled.diagnostics, compiled.diagnostics[0]
    nodes = [pipe.output for pipe in compiled.project.pipes.values()]
    return sum(len(node.program.samples()) for node in nodes), seconds
