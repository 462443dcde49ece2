"""One run of a template: the names and secrets it may use, its variables, and its budget."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from jinja2 import pass_context
from jinja2.runtime import Context

from clickpipe.template.errors import TemplateError
from clickpipe.template.names import NO_NAMES, Names
from clickpipe.template.values import weight

ANY_ENUM: ContextVar[bool] = ContextVar("any_enum", default=False)  # set while a run accepts values outside `enum=`
RUN = "\0run"  # the key of the run among a template's variables: no template can write this name
MOST_STEPS = 20_000
MOST_SECONDS = 2.0

Secrets = Callable[[str], str | None]  # returns a secret's value by its name


def no_secret(_name: str) -> None:
    """Return None: there are no secrets."""


@dataclass(slots=True)
class Run:
    """The names that may become SQL, the secrets, the variables, and the steps of loops and macros so far.

    `constants` are the strings in the template's own tags.
    """

    names: Names = NO_NAMES
    secret: Secrets = no_secret
    constants: Collection[str] = frozenset()
    variables: dict[str, Any] = field(default_factory=dict)
    steps: int = 0
    until: float = 0.0  # in CPU time of this thread: set at the first step

    def step(self, weight: int = 0) -> None:
        """Count a step, plus more for heavier work. Raises TemplateError after too many steps, or too much time."""
        now = time.thread_time()
        if not self.until:
            self.until = now + MOST_SECONDS
        elif now > self.until:
            message = f"the template takes more than {MOST_SECONDS} seconds"
            raise TemplateError(message)
        self.steps += 1 + weight // 20
        if self.steps > MOST_STEPS:
            message = f"loops and macros may take {MOST_STEPS} steps together"
            raise TemplateError(message)


def run_of(context: Context) -> Run:
    """Return the run that a context belongs to."""
    found = context.resolve(RUN)
    assert isinstance(found, Run)  # noqa: S101 - each program runs with one
    return found


@pass_context
def counted(context: Context, items: Iterable[Any]) -> Iterator[Any]:
    """Yield the items of a loop, counting each as a step."""
    run = run_of(context)
    for item in items:
        run.step()
        yield item


@pass_context
def endless(context: Context) -> Iterator[int]:
    """Yield the rounds of a `while`, counting each as a step."""
    run = run_of(context)
    while True:
        run.step()
        yield run.steps


@pass_context
def set_variable(context: Context, name: str, value: Any) -> None:
    """Set a variable (`{% set %}`) for the rest of the template, as in Python; used if it has loops or lists."""
    run = run_of(context)
    if isinstance(value, list | tuple | dict):
        run.step(weight(value))
    run.variables[name] = value


@pass_context
def get_variable(context: Context, name: str, otherwise: Any) -> Any:
    """Return a variable or, if it is not set yet, what its name refers to otherwise: a parameter."""
    return run_of(context).variables.get(name, otherwise)
