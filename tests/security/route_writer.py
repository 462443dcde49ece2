"""Requests of every route that only tells: names of the token's own, of others, of nobody; odd values and bodies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from random import Random
from urllib.parse import quote, urlencode

from clickpipe.catalog import resource_id
from clickpipe.server.app import ROUTES
from tests.security.ways import Asked

_TOLD = tuple(path for method, path, _ in ROUTES if method == "GET")
# Those that tell of tables, pipes, tokens and jobs are asked more often.
_OFTEN = tuple(path for path in _TOLD if any(word in path for word in ("source", "pipes", "tokens", "jobs", "deploy")))
# POST tells too: with a body of any form, whose parameters stand in the address as well.
POSTED = (
    *("/v0/sql", "/v0/pipes/{name}.{format}", "/", "/v0/analyze", "/api/cli-login", "/v0/jobs/{id}/cancel"),
    *(
        "/v0/jobs/{id}/retry",
        "/v0/datasources/{name}/delete?dry_run=true",
        "/v1/datasources/{name}/delete?dry_run=true",
    ),
)
_POSTED_OFTEN = (*POSTED, "/v0/sql", "/v0/pipes/{name}.{format}", "/v0/sql", "/v0/pipes/{name}.{format}", "/")
# What several kinds of tokens ask in the same words, a piece of it: is it their own?
_SHARED = tuple(
    path.replace("{n}", name)
    for name in ("mine", "wide", "events", "flat")
    for path in ("/v0/pipes/{n}.csv", "/v0/sql?q=SELECT+*+FROM+{n}+FORMAT+CSV", "/v0/pipes/{n}.json?q=SELECT+*+FROM+_")
)
_KEYS = {
    "attrs": ("id,name", "columns", "id,name,used_by,statistics,quarantine_rows", "sql,nodes", "__class__", "", ",,"),
    "node_attrs": ("sql", "sql,params,columns", "x", ""),
    "kind": ("import", "copy", "delete_data", "'"),
    "status": ("done", "error", "waiting"),
    "limit": ("0", "-1", "99999999999999999999", "a"),
    "from": ("ui", "sdk", "\x00"),
    "include_datafile": ("true", "2"),
    "with_token": ("true", "1"),
    "pretty": ("true",),
    "dependencies": ("true", "1"),
    "include_workspace_names": ("true",),
    "datasource": ("other", "events", "'"),
    "pipe": ("sec", "../../v0/tokens", "a b"),
    "format": ("json", "csv", "../x"),
    "tenant": ("globex",),
    "x": ("1", "{{tb_secret('key')}}"),
    "q": ("SELECT * FROM _", "SELECT * FROM other"),
}
# What a body says beside them: SQL over a name, values of parameters, and what is none of a body's business.
_IN_BODIES = {
    "q": (
        "SELECT * FROM {n}",
        "SELECT * FROM {n} FORMAT CSV",
        "SELECT count() FROM _",
        "SELECT * FROM _ FORMAT JSON",
        "%SELECT 1",
    ),
    "query": ("SELECT * FROM {n}", "SELECT * FROM {n} FORMAT Pretty", "DESCRIBE TABLE {n}", "SHOW TABLES"),
    "pipeline": ("{n}", "wide", "sec"),
    "delete_condition": ("1", "id IN (SELECT id FROM {n})", "val = 'x'", "id = (SELECT max(id) FROM {n})"),
    "token": ("{n}", "none"),
    "explain": ("1", "true", "{n}"),
    "__tb__deployment": ("staging", "1"),
    "tenant": ("acme", "globex", "' OR 1"),
    "__tb__semver": ("1", "{n}"),
    "col": ("val", "{n}"),
    "param_x": ("1", "{n}"),
    "url": ("http://127.0.0.1:9/", "file:///etc/passwd"),
    "format": ("csv", "ndjson", "{n}"),
    "limit": ("3", "{n}"),
}
_TYPES = ("application/json", "application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=xx", "")
_ENDINGS = ("", "", "", ".datasource", ".pipe", ".json", ".csv", "_quarantine", " ", "%00", "/", "?", "'", "`")


class RouteWriter:
    """Writes one request; the same for the same seed."""

    def __init__(self, seed: int, names: tuple[str, ...], workspaces: tuple[str, ...]) -> None:
        """Know what there are names for, and the ids of workspaces, whose resources have ids made of them."""
        self._random = Random(seed)
        self._names = names
        self._workspaces = workspaces

    def asked(self) -> Asked:
        """Return the request."""
        if self._random.randrange(3) == 0:
            return self._posted()
        if self._random.randrange(5) == 0:
            method, path = self._random.choice(("GET", "GET", "HEAD")), self._random.choice(_SHARED)
            return Asked(method, path, headers={"Range": "bytes=0-9999"}, said=path)
        path, said = self._path(self._random.choice((*_TOLD, *_OFTEN, *_OFTEN)))
        params = self._params(3)
        return Asked(
            "GET", f"{path}?{urlencode(params)}" if params else path, said="\n".join((*said, *params.values()))
        )

    def _posted(self) -> Asked:
        """Return a POST: what it asks for stands in the address, in the body, or in both, said otherwise."""
        random = self._random
        path, said = self._path(random.choice(_POSTED_OFTEN))
        wanted = {"/": "query", "/v0/sql": "q"}.get(path, "delete_condition" if "delete" in path else "tenant")
        address = self._params(2) | (self._given(wanted) if random.randrange(4) == 0 else {})
        given = self._given(wanted) | self._given(*random.sample(sorted(_IN_BODIES), random.randrange(3)))
        kind = random.choice(_TYPES)
        body = self._body(kind, given if random.randrange(6) else {}, given[wanted])
        query = urlencode(address)
        path += (("&" if "?" in path else "?") + query) if query else ""
        headers = {"Content-Type": kind} if kind else {}
        return Asked("POST", path, body, headers, "\n".join((*said, *address.values(), *given.values())))

    def _given(self, *names: str) -> dict[str, str]:
        random = self._random
        return {name: random.choice(_IN_BODIES[name]).replace("{n}", self._name()) for name in names}

    def _params(self, most: int) -> dict[str, str]:
        random = self._random
        keys = random.sample(sorted(_KEYS), random.randrange(most + 1))
        return {key: random.choice((*_KEYS[key], self._name())) for key in keys}

    def _body(self, kind: str, given: Mapping[str, str], text: str) -> bytes:
        """Return what is given in the form that the type says, and seldom in another."""
        random = self._random
        form = kind if random.randrange(6) else random.choice(_TYPES)
        if "json" in form:
            lists = {key: [value] if random.randrange(5) == 0 else value for key, value in given.items()}
            return json.dumps(lists if random.randrange(9) else [lists]).encode()
        if "multipart" in form:
            parts = (f'--xx\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in given.items())
            return ("".join(parts) + "--xx--\r\n").encode()
        return text.encode() if form in {"", "text/plain"} else urlencode(given).encode()

    def _path(self, path: str) -> tuple[str, list[str]]:
        """Return a path whose parts are names, and these."""
        random = self._random
        said: list[str] = []
        for part in ("name", "node", "id", "format"):
            for given in (f"{{{part}}}", f"{{{part}:number}}"):
                if given in path:
                    value = random.choice(("json", "csv", "x")) if part == "format" else self._name()
                    value = str(random.choice((0, 1, 2, 10**17, 10**30, "9" * 5_000))) if ":number" in given else value
                    path = path.replace(given, quote(value, safe=random.choice(("", "/'`"))))
                    said.append(value)
        return path, said

    def _name(self) -> str:
        random = self._random
        name = random.choice(self._names)
        way = random.randrange(8)
        if way == 0:
            kind = random.choice(("datasource", "pipe", "node"))
            return resource_id(random.choice(self._workspaces), kind, name)
        if way == 1:
            at = random.randrange(len(name))
            return name[:at] + name[at + 1 :] or "x"  # near to it: is it suggested?
        if way == 2:
            return random.choice((name.upper(), f"walls.{name}", f"`{name}`", f"../{name}", f"{name}' OR 1", name * 90))
        return name + random.choice(_ENDINGS)
