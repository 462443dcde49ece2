"""Renders and binds the SQL of endpoints, and remembers per deployment what need not be found out twice."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

from clickpipe.catalog import Live
from clickpipe.compiler import BoundQuery, QueryFunction, is_quick, parameters_read
from clickpipe.diagnostics import UnknownResource
from clickpipe.query.memory import Memory
from clickpipe.query.options import QueryOptions
from clickpipe.query.result_cache import frozen
from clickpipe.template import Secrets

_LONG = 10_000  # calls with more characters of values are not remembered


class Bindings:
    """Endpoint calls of one workspace: name and values → SQL with bound parameters."""

    def __init__(self, secret: Secrets) -> None:
        """Start empty; `secret` resolves `tb_secret`."""
        self._secret = secret
        self._memory: Memory | None = None

    def memory(self, live: Live) -> Memory:
        """Return the memory for a deployment; a promotion starts an empty one."""
        memory = self._memory
        if memory is None or memory.live is not live:
            memory = self._memory = Memory(live)
        return memory

    def bound(self, live: Live, name: str, values: Mapping[str, Any]) -> BoundQuery:
        """Return an endpoint's rendered and bound SQL, from memory if the values were seen before.

        Rendering is deterministic except for secrets, which may change and may decide branches: results that used one
        are not remembered. Raises ClickpipeError: 404 for an unknown endpoint, 400 for bad values.
        """
        memory, key = self.memory(live).bound, (name, frozen(values))
        bound = memory.get(key)
        if bound is None:
            asked: list[str] = []
            bound = self.bind(live, name, values, secret=partial(_noted, asked, self._secret))
            if not asked and len(str(values)) < _LONG:
                memory[key] = bound
        return bound

    def bind(
        self, live: Live, name: str, values: Mapping[str, Any], *within: str, secret: Secrets | None = None
    ) -> BoundQuery:
        """Return an endpoint's SQL, rendered now; it reads the data sources `within` in sub-queries."""
        return self.function(live, name).bind_to(live.table, values, secret or self._secret, within)

    def fixed(self, live: Live, name: str, options: QueryOptions) -> QueryOptions:
        """Return options with the values that the token fixes for an endpoint. Raises ClickpipeError 403."""
        return options.fixed_for([name], partial(self.parameters, live)) if options.fixed_params else options

    def parameters(self, live: Live, pipe: str) -> Collection[str]:
        """Return the parameters of a pipe and of the pipes that it reads."""
        known = self.memory(live).parameters
        if pipe not in known:
            known[pipe] = parameters_read(live.compiled, pipe)
        return known[pipe]

    def is_quick(self, live: Live, name: str, values: Mapping[str, Any]) -> bool:
        """Return whether rendering an endpoint's SQL is fast enough to do it on the event loop."""
        quick = self.memory(live).quick
        known = quick.get(name)
        if known is None:
            known = quick[name] = name in live.compiled.endpoints and is_quick(live.compiled, name)
        return known and (not values or len("".join(map(str, values.values()))) < _LONG)

    def function(self, live: Live, name: str) -> QueryFunction:
        """Return an endpoint. Raises ClickpipeError 404."""
        function = live.compiled.endpoints.get(name)
        if function is None:
            pipe = live.compiled.project.pipes.get(name)
            known = [("PIPES", endpoint) for endpoint in live.compiled.endpoints]
            message = f"The pipe '{name}' {'is not an endpoint' if pipe else 'does not exist'}"
            raise UnknownResource(message, name, known, status=404, code="not_found")
        return function


def _noted(asked: list[str], secret: Secrets, name: str) -> str | None:
    """Return a secret, and record its name in `asked`."""
    asked.append(name)
    return secret(name)
