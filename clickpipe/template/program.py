"""A node's SQL as a program: takes parameters, returns SQL text with placeholders and bound values."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from jinja2 import Template

from clickpipe.diagnostics import ClickpipeError, Diagnostic, Severity, Span, Word, redact
from clickpipe.template.assemble import Part, assemble
from clickpipe.template.binding import Binder, BoundSQL
from clickpipe.template.branches import MISTAKES, Sample, controls, explore, sample
from clickpipe.template.discover import Parameter, odd_arrays, problem, taken_by
from clickpipe.template.environment import MARK, Emitted, has_more_words, parse
from clickpipe.template.errors import MissingName, MissingParameter, TemplateError
from clickpipe.template.faults import faults
from clickpipe.template.names import Names, UnknownName
from clickpipe.template.run import Run
from clickpipe.template.shape import Shape, is_quick, known_parameters, program, template_shape
from clickpipe.template.source import normalise
from clickpipe.template.types import SAMPLE_TEXT, TYPES
from clickpipe.template.values import Fragment, Nothing, Pieces, Setting

_ITEMS = re.compile(r"\bArray\s*\(\s*\w+\s*,\s*['\"]?([^'\"),\s]*)")  # the declared item type of an array
_LAID_OUT = {Fragment, Nothing, Pieces, Setting}  # values that become more, or less, than one placeholder
_PATHS = 1_000  # paths through a template to remember


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of rendered SQL that came from one place in the author's text."""

    rendered: int
    source: int
    length: int


@dataclass(frozen=True, slots=True)
class Rendered:
    """Rendered SQL that maps each part to its place in the author's file."""

    text: str
    source: Word
    segments: tuple[Segment, ...]

    def locate(self, offset: int, length: int = 1) -> Span:
        """Return the author's span for a position in the rendered text (the nearest before it)."""
        best = Segment(0, 0, 0)
        for segment in self.segments:
            if segment.rendered > offset:
                break
            best = segment
        at = best.source + min(offset - best.rendered, best.length)
        at = min(at, max(0, len(self.source.text) - 1))
        return self.source.span.sub(at, min(at + max(1, length), len(self.source.text)))


@dataclass(frozen=True)
class TemplateProgram:
    """The SQL of one node. Without a leading `%` it is plain text without parameters."""

    source: Word
    _declared: tuple[Parameter, ...] = ()
    _shape: Shape | None = None
    _texts: dict[str, str] = field(default_factory=dict, compare=False, repr=False)  # the author's, by mark
    _plain: set[tuple[str | None, ...]] = field(default_factory=set, compare=False, repr=False)

    @property
    def is_template(self) -> bool:
        """Return whether the SQL has a leading `%`."""
        return self._shape is not None

    @property
    def is_quick(self) -> bool:
        """Return whether rendering takes time linear in the text and values: no loops, macros and the like."""
        return self._shape is None or is_quick(self._shape.text)

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """Return the parameters; those whose call runs when nothing is given are `required`."""
        if self._shape is None or not any(p.required for p in self._declared):
            return self._declared
        ways = explore(self._shape.text)
        needed = ways[0].values if ways else {}
        return tuple(replace(p, required=p.required and (p.name in needed or not ways)) for p in self._declared)

    def render(self, values: Mapping[str, Any], binder: Binder) -> str:
        """Return the SQL text for these parameter values; the values go to `binder`.

        Raises MissingParameter, TemplateError or AuthorError for mistakes of the caller: status 400 (or that of
        `custom_error`).
        """
        if self._shape is None:
            return self.source.text
        pieces = self._run(self._shape, values, binder)
        path = tuple([piece if type(piece) is str else None for piece in pieces])
        if path in self._plain:
            return self._joined(pieces, binder)
        parts = self._assembled(pieces, binder)
        texts = [part.text for part in parts]
        plain = not any(part.literal for part in parts) and not any(type(piece) in _LAID_OUT for piece in pieces)
        if plain and len(self._plain) < _PATHS:
            self._note(path, texts)
        return "".join(texts)

    def _joined(self, pieces: Sequence[Any], binder: Binder) -> str:
        """Join the pieces of a path whose values are all outside quotes."""
        texts = self._texts
        bind = binder.bind
        return "".join([texts[p] if type(p) is str else bind(p.value if type(p) is Emitted else p)[0] for p in pieces])

    def _note(self, path: tuple[str | None, ...], texts: Sequence[str]) -> None:
        """Remember a path that consists only of the author's text and placeholders."""
        assert self._shape is not None  # noqa: S101 - only templates have paths
        if any(text.startswith(("concat('", "', ")) for text in texts):
            return
        for mark in path:
            if mark is not None:
                numbers = mark.split(MARK)[1:]
                self._texts[mark] = "".join(self._shape.stretches[int(number)].text for number in numbers)
        self._plain.add(path)

    def _assembled(self, pieces: Sequence[Any], binder: Binder) -> list[Part]:
        assert self._shape is not None  # noqa: S101 - callers check
        try:
            return assemble(pieces, self._shape.stretches, binder)
        except TemplateError as error:
            error.line = self._shape.line(1, self.source.text)
            raise
        except MISTAKES as error:  # about a value, such as deeply nested lists
            raise _mistaken(error, binder.used_secrets.values()) from error

    def bind(self, **values: Any) -> BoundSQL:
        """Return this node's own SQL, bound."""
        binder = Binder()
        text = self.render(values, binder)
        return BoundSQL(text, binder.params, binder.settings)

    def trace(self, values: Mapping[str, Any], binder: Binder) -> Rendered:
        """Render like `render`, and keep where each stretch came from (slower: for checks)."""
        if self._shape is None:
            text = self.source.text
            return Rendered(text, self.source, (Segment(0, 0, len(text)),))
        segments: list[Segment] = []
        length = 0
        parts = self._assembled(self._run(self._shape, values, binder), binder)
        for part in parts:
            segments.append(Segment(length, part.offset, part.length))
            length += len(part.text)
        return Rendered("".join(part.text for part in parts), self.source, tuple(segments))

    def _run(self, shape: Shape, values: Mapping[str, Any], binder: Binder | None = None) -> list[Any]:
        compiled = program(shape.text)
        template = compiled.template
        run = Run(binder.names, binder.ask, compiled.constants) if binder else Run(constants=compiled.constants)
        try:
            return compiled.run(values, run)
        except ClickpipeError as error:
            raise self._told(template, error, values, binder.used_secrets.values() if binder else ()) from None
        except MISTAKES as error:
            told = binder.used_secrets.values() if binder else ()
            raise self._at(template, error, _mistaken(error, told)) from error

    def _told(
        self, template: Template, error: ClickpipeError, values: Mapping[str, Any], secrets: Collection[str]
    ) -> ClickpipeError:
        """Return an error as shown to the caller: without secrets, and with the template's line."""
        if secrets:
            error.message = redact(error.message, secrets, parts=False)
            error.args = (error.message,)
            if error.payload is not None:
                error.payload = json.loads(redact(json.dumps(error.payload, default=str), secrets, parts=False))
        if isinstance(error, MissingParameter) and not isinstance(error, MissingName):
            missing = [p.name for p in self._declared if p.required and p.typed and values.get(p.name) is None]
            listed = error.names if set(missing) <= set(error.names) else missing
            takes = {p.name: taken_by(p) for p in self._declared if p.typed}
            return self._at(template, error, MissingParameter(listed, error.names, takes))
        return self._at(template, error, error) if isinstance(error, TemplateError) else error

    def _at(self, template: Template, cause: BaseException, error: TemplateError) -> TemplateError:
        """Set `error`'s line to the template's line that `cause` came from."""
        trace = cause.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == template.filename and self._shape is not None:
                line = template.get_corresponding_lineno(trace.tb_lineno)
                error.line = self._shape.line(line, self.source.text)
            trace = trace.tb_next
        return error

    def samples(self) -> Sequence[Sample]:
        """Return values to check the SQL with, for each path through it; the first has as few as possible."""
        return explore(self._shape.text) if self._shape is not None else (Sample({}, frozenset()),)

    def fault(self, names: Names) -> TemplateError | None:
        """Return the error that stops the template when as little as possible is given: its author's mistake."""
        values: dict[str, str] = {}
        every = self.every_sample()
        while self._shape is not None:
            try:
                self._run(self._shape, values, Binder(names, lambda _: SAMPLE_TEXT))
            except MissingParameter as error:
                more = {n: every[n] for n in error.needed if n in every and n not in values}
                if not more:
                    # a variable that only some branches set: the caller has to give its value
                    return None if every.keys().isdisjoint(error.needed) else error
                values |= more
            except UnknownName:
                break  # the caller has to give the name
            except TemplateError as error:
                return error
            except ClickpipeError:
                break  # the author's own error(): no SQL to check
            else:
                break
        return None

    def odd_values(self) -> Iterator[Diagnostic]:
        """Warn of defaults, choices and examples that calls refuse, or that are no valid date or time."""
        for parameter in self._declared:
            for value, odd in parameter.odd:
                message = f"'{value}' {odd}: the parameter '{parameter.name}' takes {taken_by(parameter)}"
                yield replace(problem(self.source, "CP3004", message, 1, value), severity=Severity.WARNING)

    def conditions(self) -> Collection[str]:
        """Return the parameters that decide which path is taken."""
        return controls(self._shape.text).keys() if self._shape is not None else ()

    def every_sample(self) -> Mapping[str, str]:
        """Return a value for each parameter."""
        return {p.name: sample(p) for p in self._declared}

    def choices(self) -> Iterator[str]:
        """Yield the values that the author lists for parameters: choices and examples."""
        for parameter in self._declared:
            yield from (*parameter.enum, *([parameter.example] if parameter.example else ()))

    def required_samples(self) -> Mapping[str, str]:
        """Return a value for each parameter without a default."""
        return {p.name: sample(p) for p in self.parameters if p.required}


def compile_template(source: Word, *, most: int = 0) -> tuple[TemplateProgram | None, list[Diagnostic]]:
    """Compile a node's SQL. Returns None and the reasons if it cannot be parsed.

    `most` limits the words and symbols in the tags of a caller's template, which would take time to compile; 0 is no
    limit.
    """
    if not source.text.lstrip().startswith("%"):
        return TemplateProgram(source), _forgotten_percent(source)
    if most and has_more_words(source.text, most):
        return None, [problem(source, "CP3001", f"the tags have more than {most} words and symbols", 1, "")]
    shape = template_shape(source.text)
    parameters = known_parameters(shape.text)
    if parameters is not None:
        return TemplateProgram(source, parameters, shape), _remarks(source)
    return None, faults(source)


def _remarks(source: Word) -> list[Diagnostic]:
    """Warn of what works, but not as it reads."""
    if all(match[1] in TYPES for match in _ITEMS.finditer(source.text)):
        return []
    return list(odd_arrays(parse(normalise(source.text)), source))


def _forgotten_percent(source: Word) -> list[Diagnostic]:
    """Report `{{ }}` in SQL without a leading `%`: it is not evaluated, which is never intended."""
    at = source.text.find("{{")
    if at < 0:
        return []
    hint = "start the node's SQL with a line that contains only %"
    span = source.span.sub(at, at + 2)
    return [Diagnostic("CP3007", "{{ }} is evaluated only in a template", span, hint=hint)]


def _mistaken(error: Exception, secrets: Collection[str]) -> TemplateError:
    """Return what is told of a mistake in a template or a value, without secrets."""
    if isinstance(error, RecursionError):  # whose text depends on where Python was
        return TemplateError("a macro or a recursive loop has no end, or a value is nested too deeply")
    return TemplateError(redact(str(error), secrets, parts=False))
