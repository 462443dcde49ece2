"""Values at limits, and how long a template may take with them."""

from __future__ import annotations

from collections.abc import Iterator

from clickpipe.diagnostics import ClickpipeError, Span, Word
from clickpipe.template import Binder, NameSet, compile_template
from tests.clock import cpu_seconds

SECONDS = 2.5  # of the thread's own time: a template's limit, and what reading it takes
MOST = 5_000_000  # characters and items of what is made
LONG, NUMBERS = "x" * 100_000, ",".join(["1"] * 5_000)
VALUES = {
    "empty": "",
    "one": "1",
    "minus": "-2000000000",
    "many": "2000000000",
    "huge": "9" * 4_000,
    "far": "1E+999999999",
    "near": "1E-999999999",
    "inf": "inf",
    "nan": "NaN",
    "long": LONG,
    "numbers": NUMBERS,
    "json": '{"a": [1, null, true, 1e308, "x"], "b c; --": {"": []}}',
    "deep": "[" * 600 + "]" * 600,
    "wide": "[" + "[1]," * 5_000 + "1]",
    "floats": "[NaN, Infinity, -Infinity, 1e400]",
    "odd": "\ud800\0'\\`{{}}%s{0}é",
    "percent": "%999999999d {0:>999999999}",
    "format": "%Y%f" * 5_000,
}
# A few of each kind, as templates write them.
WRITTEN = (
    *("String(long)", "Int32(minus)", "JSON(wide)", "Float64(one)", "Decimal(one)", "JSON(json)", "absent", "None"),
    *("1.5e308", "[1, 'a'] * 9", "Array(numbers, 'Int32')", "odd", "String(percent)"),
)


def render(template: str) -> str:
    """Return what becomes of a template: it is refused, ends with an error for the caller, or is rendered."""
    found: list[tuple[str, int]] = []
    seconds = cpu_seconds(lambda: found.append(_rendered(template)), times=3, enough=SECONDS)
    told, status = found[-1]
    assert seconds < SECONDS, template
    assert len(told) < MOST, template
    assert 400 <= status < 500, template
    return told


def _rendered(template: str) -> tuple[str, int]:
    text = f"%\nSELECT 1 {template}"
    program, problems = compile_template(Word(text, Span("p.pipe", 0, len(text))))
    told, status = problems[0].message if program is None else "", 400
    if program is not None:
        binder = Binder(NameSet({"a", "b"}, {"t"}))
        try:
            told = program.render({name: value for name, value in VALUES.items() if name in template}, binder)
            assert sum(len(str(value)) for value in binder.params.values()) < MOST, template
            told = f"rendered: {told}"
        except ClickpipeError as error:
            told, status = error.message, error.status
    return told, status


def render_each(templates: Iterator[str] | list[str]) -> dict[str, str]:
    """Render all; no exception but an error for the caller comes out of one."""
    found = {}
    for template in templates:
        try:
            found[template] = render(template)
        except AssertionError:
            raise
        except BaseException as error:
            message = f"{template}: {error!r:.300}"
            raise AssertionError(message) from error
    return found
