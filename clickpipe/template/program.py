"""A node's SQL as a program: parameters in, SQL text with placeholders and bound values out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from jinja2 import Template, TemplateError as JinjaError, TemplateSyntaxError

from clickpipe.diagnostics import ClickpipeError, Diagnostic, Span, Word
from clickpipe.template.binding import Binder, BoundSQL
from clickpipe.template.discover import Parameter, find_parameters, forbidden_tags, problem
from clickpipe.template.environment import Data, build, data_offsets, environment, normalise, parse
from clickpipe.template.errors import MissingParameter, TemplateError
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


@dataclass(frozen=True, slots=True)
class TemplateProgram:
    """The SQL of one node. Without a leading `%` it is plain text with no parameters."""

    source: Word
    parameters: tuple[Parameter, ...] = ()
    _template: Template | None = None
    _required: tuple[str, ...] = field(default=())

    @property
    def is_template(self) -> bool:
        """Tell whether the SQL has a leading `%`."""
        return self._template is not None

    def render(self, values: Mapping[str, Any], binder: Binder) -> str:
        """Return the SQL text for these parameter values; the values go to `binder`.

        Raises MissingParameter, TemplateError or AuthorError: the caller's mistake, status 400
        (or what `custom_error` says).
        """
        if self._template is None:
            return self.source.text
        pieces = self._run(self._template, values)
        return "".join([p if type(p) is str else binder.placeholder(p.value) for p in pieces])

    def bind(self, **values: Any) -> BoundSQL:
        """Return this node's own SQL, bound."""
        binder = Binder()
        text = self.render(values, binder)
        return BoundSQL(text, binder.params)

    def trace(self, values: Mapping[str, Any], binder: Binder) -> Rendered:
        """Render as `render` does, keeping where each stretch came from (slower: for checks)."""
        if self._template is None:
            text = self.source.text
            return Rendered(text, self.source, (Segment(0, 0, len(text)),))
        source = normalise(self.source.text)
        offsets = data_offsets(source)
        texts = _data_texts(source, offsets)
        parts: list[str] = []
        segments: list[Segment] = []
        length = last = 0
        for piece in self._run(build(source, traced=True), values):
            if isinstance(piece, Data):
                part, at = texts[piece.number], offsets[piece.number]
                segments.append(Segment(length, at, len(part)))
                last = at + len(part)
            else:
                part = piece if isinstance(piece, str) else binder.placeholder(piece.value)
                segments.append(Segment(length, last, 0))
            parts.append(part)
            length += len(part)
        return Rendered("".join(parts), self.source, tuple(segments))

    def _run(self, template: Template, values: Mapping[str, Any]) -> list[Any]:
        given = {name: raw(name, value) for name, value in values.items() if value is not None}
        try:
            return list(template.root_render_func(template.new_context(given)))
        except MissingParameter as error:
            missing = [name for name in self._required if values.get(name) is None]
            listed = error.names if set(missing) <= set(error.names) else missing
            raise _at(template, error, MissingParameter(listed, error.names)) from None
        except TemplateError as error:
            raise _at(template, error, error) from None
        except _MISTAKES as error:
            raise _at(template, error, TemplateError(str(error))) from error

    def samples(self) -> Sequence[Mapping[str, str]]:
        """Return parameter values to check the SQL with: as few as may be given, and all of them."""
        every = {p.name: _sample(p) for p in self.parameters}
        least = self._least(every)
        return [least, every] if least != every else [least]

    def required_samples(self) -> Mapping[str, str]:
        """Return a value for each parameter that has no default."""
        return {p.name: _sample(p) for p in self.parameters if p.required}

    def _least(self, every: Mapping[str, str]) -> Mapping[str, str]:
        """Return what a rendering with nothing given turns out to need."""
        least: dict[str, str] = {}
        while self._template is not None:
            try:
                self._run(self._template, least)
            except MissingParameter as error:
                more = {name: every[name] for name in error.needed if name in every}
            except TemplateError:
                more = dict(self.required_samples())
            except ClickpipeError:
                break  # the author's own error(): there is no SQL to check
            else:
                break
            if more.keys() <= least.keys():
                break
            least |= more
        return least


def _at(template: Template, cause: BaseException, error: TemplateError) -> TemplateError:
    """Give `error` the template's line that `cause` came from."""
    trace = cause.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == template.filename:
            error.line = template.get_corresponding_lineno(trace.tb_lineno)
        trace = trace.tb_next
    return error


def _sample(parameter: Parameter) -> str:
    if parameter.enum:
        return parameter.enum[0]
    if isinstance(parameter.default, str | int | float) and parameter.default != "":
        return str(parameter.default)
    name = parameter.type.removeprefix("Array(").removesuffix(")")
    return TYPES[name].sample


def _data_texts(source: str, offsets: Sequence[int]) -> list[str]:
    texts = [text for _, kind, text in environment().lexer.tokeniter(source, None) if kind == "data" and text]
    assert len(texts) == len(offsets)  # noqa: S101 - one walk over the same tokens
    return texts


def compile_template(source: Word) -> tuple[TemplateProgram | None, list[Diagnostic]]:
    """Compile a node's SQL. Returns None where it cannot be read, with the reasons."""
    text = source.text
    if not text.lstrip().startswith("%"):
        return TemplateProgram(source), _forgotten_percent(source)
    normal = normalise(text)
    try:
        tree = parse(normal)
        parameters, diagnostics = find_parameters(tree, source)
        diagnostics = [*forbidden_tags(tree, source), *diagnostics]
        if diagnostics:
            return None, diagnostics
        template = build(normal, traced=False)
    except TemplateSyntaxError as error:
        return None, [problem(source, "CP3001", error.message or "template cannot be read", error.lineno, "")]
    required = tuple(p.name for p in parameters if p.required and p.typed)
    program = TemplateProgram(source, tuple(parameters), template, required)
    return replace(program, parameters=_really_required(program)), []


def _really_required(program: TemplateProgram) -> tuple[Parameter, ...]:
    """Take `required` from parameters whose call does not run when nothing is given."""
    needed = program.samples()[0]
    try:
        program.bind(**needed)
    except ClickpipeError:
        return program.parameters  # the author's own error(): it may be about a parameter that is missing
    return tuple(replace(p, required=p.required and p.name in needed) for p in program.parameters)


def _forgotten_percent(source: Word) -> list[Diagnostic]:
    """`{{ }}` in SQL without the leading `%` is not evaluated: say so, it is never meant."""
    at = source.text.find("{{")
    if at < 0:
        return []
    hint = "start the node's SQL with a line that holds only %"
    span = source.span.sub(at, at + 2)
    return [Diagnostic("CP3007", "{{ }} is evaluated only in a template", span, hint=hint)]
