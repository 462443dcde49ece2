"""Requests of every route that only tells: names of the token's own, of others, and of nobody; odd parameters."""

from __future__ import annotations

from random import Random
from urllib.parse import quote, urlencode

from clickpipe.catalog import resource_id
from clickpipe.server.app import ROUTES
from tests.security.ways import Asked

_TOLD = tuple(path for method, path, _ in ROUTES if method == "GET")
# Those that tell of tables, pipes, tokens and jobs are asked more often.
_OFTEN = tuple(path for path in _TOLD if any(word in path for word in ("source", "pipes", "tokens", "jobs", "deploy")))
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
        random = self._random
        path, said = random.choice((*_TOLD, *_OFTEN, *_OFTEN)), []
        for part in ("name", "node", "id", "format"):
            for given in (f"{{{part}}}", f"{{{part}:number}}"):
                if given in path:
                    value = random.choice(("json", "csv", "x")) if part == "format" else self._name()
                    value = str(random.choice((0, 1, 2, 10**17, 10**30, "9" * 5_000))) if ":number" in given else value
                    path = path.replace(given, quote(value, safe=random.choice(("", "/'`"))))
                    said.append(value)
        keys = random.sample(sorted(_KEYS), random.randrange(4))
        params = {key: random.choice((*_KEYS[key], self._name())) for key in keys}
        said += params.values()
        return Asked("GET", f"{path}?{urlencode(params)}" if params else path, said="\n".join(said))

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
