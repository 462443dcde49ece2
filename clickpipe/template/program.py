"""A node's SQL as a program: parameters in, SQL text with placeholders and bound values out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from jinja2 import Template, TemplateError as JinjaError, TemplateSyntaxError

from clickpipe.diagnostics import ClickpipeError, Diagnostic, Span, Word
from clickpipe.template.binding import Binder, BoundSQL
from clickpipe.template.discover import Parameter, find_parameters, forbidden_tags, problem
from clickpipe.template.environment import MARK, build, normalise, parse
from clickpipe.template.errors import MissingParameter, TemplateError
from clickpipe.template.shape import Shape, known_parameters, program, template_shape
from clickpipe.template.types import TYPES
from clickpipe.template.values import raw

# What a template's expressions can raise: the template's fault or its values', not ours.
_MISTAKES = (JinjaError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of rendered SQL that came from one place of the author's text."""

    rendered: int
    source: int
    length: int


@dataclass(frozen=True, slots=True)
class Rendered:
    """Rendered SQL that knows where in the author's file each part stands."""

    text: str
    source: Word
    segments: tuple[Segment, ...]

    def locate(self, offset: int, length: int = 1) -> Span:
        """Return the author's span for a place in the rendered text (the nearest before it)."""
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
    """The SQL of one node. Without a leading `%` it is plain text with no parameters."""

    source: Word
    _declared: tuple[Parameter, ...] = ()
    _shape: Shape | None = None

    @property
    def is_template(self) -> bool:
        """Tell whether the SQL has a leading `%`."""
        return self._shape is not None

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """Return the parameters; `required` are those whose call runs when nothing is given."""
        if not any(p.required for p in self._declared):
            return self._declared
        needed = self._samples[0]
        try:
            self.bind(**needed)
        except ClickpipeError:
            return self._declared  # the author's own error(): it may be about a parameter that is missing
        return tuple(replace(p, required=p.required and p.name in needed) for p in self._declared)

    def render(self, values: Mapping[str, Any], binder: Binder) -> str:
        """Return the SQL text for these parameter values; the values go to `binder`.

        Raises MissingParameter, TemplateError or AuthorError: the caller's mistake, status 400
        (or what `custom_error` says).
        """
        if self._shape is None:
            return self.source.text
        stretches = self._shape.stretches
        parts: list[str] = []
        for piece in self._run(self._shape, values):
            if isinstance(piece, str):
                parts += [stretches[int(number)].text for number in piece.split(MARK)[1:]]
            else:
                parts.append(binder.placeholder(piece.value))
        return "".join(parts)

    def bind(self, **values: Any) -> BoundSQL:
        """Return this node's own SQL, bound."""
        binder = Binder()
        text = self.render(values, binder)
        return BoundSQL(text, binder.params)

    def trace(self, values: Mapping[str, Any], binder: Binder) -> Rendered:
        """Render as `render` does, keeping where each stretch came from (slower: for checks)."""
        if self._shape is None:
            text = self.source.text
            return Rendered(text, self.source, (Segment(0, 0, len(text)),))
        parts: list[str] = []
        segments: list[Segment] = []
        length = last = 0

        def add(part: str, at: int, size: int) -> None:
            nonlocal length
            segments.append(Segment(length, at, size))
            parts.append(part)
            length += len(part)

        for piece in self._run(self._shape, values):
            if not isinstance(piece, str):
                add(binder.placeholder(piece.value), last, 0)
                continue
            for number in piece.split(MARK)[1:]:
                stretch = self._shape.stretches[int(number)]
                add(stretch.text, stretch.offset, len(stretch.text))
                last = stretch.offset + len(stretch.text)
        return Rendered("".join(parts), self.source, tuple(segments))

    def _run(self, shape: Shape, values: Mapping[str, Any]) -> list[Any]:
        given = {name: raw(name, value) for name, value in values.items() if value is not None}
        template = program(shape.text)
        try:
            return list(template.root_render_func(template.new_context(given)))
        except MissingParameter as error:
            missing = [p.name for p in self._declared if p.required and p.typed and values.get(p.name) is None]
            listed = error.names if set(missing) <= set(error.names) else missing
            raise self._at(template, error, MissingParameter(listed, error.names)) from None
        except TemplateError as error:
            raise self._at(template, error, error) from None
        except _MISTAKES as error:
            raise self._at(template, error, TemplateError(str(error))) from error

    def _at(self, template: Template, cause: BaseException, error: TemplateError) -> TemplateError:
        """Give `error` the template's line that `cause` came from."""
        trace = cause.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == template.filename and self._shape is not None:
                line = template.get_corresponding_lineno(trace.tb_lineno)
                error.line = self._shape.line(line, self.source.text)
            trace = trace.tb_next
        return error

    def samples(self) -> Sequence[Mapping[str, str]]:
        """Return parameter values to check the SQL with: as few as may be given, and all of them."""
        return self._samples

    @cached_property
    def _samples(self) -> Sequence[Mapping[str, str]]:
        every = {p.name: _sample(p) for p in self._declared}
        least = self._least(every)
        return [least, every] if least != every else [least]

    def required_samples(self) -> Mapping[str, str]:
        """Return a value for each parameter that has no default."""
        return {p.name: _sample(p) for p in self.parameters if p.required}

    def _least(self, every: Mapping[str, str]) -> Mapping[str, str]:
        """Return what a rendering with nothing given turns out to need."""
        least: dict[str, str] = {}
        while self._shape is not None:
            try:
                self._run(self._shape, least)
            except MissingParameter as error:
                more = {name: every[name] for name in error.needed if name in every}
            except TemplateError:
                more = {p.name: every[p.name] for p in self._declared if p.required}
            except ClickpipeError:
                break  # the author's own error(): there is no SQL to check
            else:
                break
            if more.keys() <= least.keys():
                break
            least |= more
        return least


def _sample(parameter: Parameter) -> str:
    if parameter.enum:
        return parameter.enum[0]
    if isinstance(parameter.default, str | int | float) and parameter.default != "":
        return str(parameter.default)
    name = parameter.type.removeprefix("Array(").removesuffix(")")
    return TYPES[name].sample


def compile_template(source: Word) -> tuple[TemplateProgram | None, list[Diagnostic]]:
    """Compile a node's SQL. Returns None where it cannot be read, with the reasons."""
    if not source.text.lstrip().startswith("%"):
        return TemplateProgram(source), _forgotten_percent(source)
    shape = template_shape(source.text)
    parameters = known_parameters(shape.text)
    if parameters is not None:
        return TemplateProgram(source, parameters, shape), []
    return None, _faults(source)


def _faults(source: Word) -> list[Diagnostic]:
    """Tell what is wrong with a template: its text is read as it is, so that lines are right."""
    text = normalise(source.text)
    try:
        tree = parse(text)
        _, diagnostics = find_parameters(tree, source)
        diagnostics = [*forbidden_tags(tree, source), *diagnostics]
        if not diagnostics:
            build(text)
    except TemplateSyntaxError as error:
        return [problem(source, "CP3001", error.message or "template cannot be read", error.lineno, "")]
    return diagnostics


def _forgotten_percent(source: Word) -> list[Diagnostic]:
    """`{{ }}` in SQL without the leading `%` is not evaluated: say so, it is never meant."""
    at = source.text.find("{{")
    if at < 0:
        return []
    hint = "start the node's SQL with a line that holds only %"
    span = source.span.sub(at, at + 2)
    return [Diagnostic("CP3007", "{{ }} is evaluated only in a template", span, hint=hint)]
