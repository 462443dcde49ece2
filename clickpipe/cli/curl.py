"""curl lines to paste, each complete with the token: what `clickpipe dev` prints."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

if TYPE_CHECKING:
    from clickpipe.compiler import QueryFunction
    from clickpipe.project import DataSource


@dataclass(frozen=True, slots=True)
class Curl:
    """Writes lines for one server and token."""

    url: str
    token: str = field(repr=False)

    def endpoint(self, function: QueryFunction) -> str:
        """Return the call of an endpoint, with each parameter that has an example or no default."""
        from clickpipe.template import sample

        values = [(p.name, p.example or sample(p)) for p in function.parameters if p.required or p.example]
        query = f"?{urlencode(values)}" if values else ""
        return f'curl {self._auth()} "{self.url}/v0/pipes/{function.name}.json{query}"'

    def event(self, source: DataSource, fixture: Path) -> str:
        """Return a line that sends an event: the fixture's first one, or one made up from the schema."""
        from clickpipe.columns import example_event

        event = json.dumps(example_event(source))
        if fixture.is_file():
            with fixture.open(encoding="utf-8") as file:
                event = file.readline().strip() or event
        return f'curl {self._auth()} "{self.url}/v0/events?name={source.name}&wait=true" -d {shlex.quote(event)}'

    def copy(self, name: str) -> str:
        """Return a line that runs a copy pipe."""
        return f'curl -X POST {self._auth()} "{self.url}/v0/pipes/{name}/copy"'

    def _auth(self) -> str:
        return f'-H "Authorization: Bearer {self.token}"'
