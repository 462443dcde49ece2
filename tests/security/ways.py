"""The ways in which SQL, parameters and conditions are sent."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import urlencode

_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_JSON = {"Content-Type": "application/json"}
_FORMATS = ("json", "csv", "ndjson", "jsonstrings", "tsv")


@dataclass(frozen=True)
class Asked:
    """A request, and what stands in it that a reply may repeat. `key` is where the token goes, when not a Bearer's."""

    method: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    said: str = ""
    key: str = ""

    def headers_with(self, token: str) -> dict[str, str]:
        """Return the headers with a token in them."""
        if self.key == "basic":
            return {**self.headers, "Authorization": "Basic " + base64.b64encode(f"default:{token}".encode()).decode()}
        own = {"X-ClickHouse-Key": token} if self.key == "clickhouse" else {"Authorization": f"Bearer {token}"}
        return {**self.headers, **own}


def _encoded(**values: Any) -> str:
    return urlencode({name: _plain(value) for name, value in values.items()}, doseq=True, errors="replace")


def _plain(value: Any) -> Any:
    """Return a value as a form has it."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if isinstance(value, str) else json.dumps(value)


def _bytes(sql: str) -> bytes:
    return sql.encode(errors="replace")


def _over(random: Random, pipes: tuple[str, ...]) -> str:
    """Return the path of an endpoint, in some format."""
    return f"/{random.choice(('v0', 'v0', 'v1'))}/pipes/{random.choice(pipes)}.{random.choice(_FORMATS)}"


def _v0(random: Random, pipes: tuple[str, ...]) -> str:
    return _over(random, pipes).replace("/v1/", "/v0/")


_SQL: tuple[Callable[[Random, str, tuple[str, ...]], Asked], ...] = (
    lambda _r, sql, _p: Asked("POST", "/v0/sql", _bytes(sql)),
    lambda _r, sql, _p: Asked("GET", f"/v0/sql?{_encoded(q=sql)}"),
    lambda _r, sql, _p: Asked("POST", "/v0/sql", _encoded(q=sql).encode(), _FORM),
    lambda _r, sql, _p: Asked("POST", "/v0/sql", json.dumps({"q": sql, "tenant": "globex", "x": "1"}).encode(), _JSON),
    lambda r, sql, p: Asked("POST", f"/v0/sql?{_encoded(pipeline=r.choice(p), tenant='globex', x='1')}", _bytes(sql)),
    lambda _r, sql, _p: Asked("GET", f"/?{_encoded(query=sql)}", key="clickhouse"),
    lambda _r, sql, _p: Asked("POST", f"/?{_encoded(query=sql, param_x='1', param_tenant='globex')}", key="basic"),
    lambda r, sql, _p: _cut_in_two(sql, r.randrange(1 + len(sql))),
    lambda r, sql, _p: Asked(
        "POST", f"/?{_encoded(database='default', default_format=r.choice(('JSON', 'CSV', 'Pretty')))}", _bytes(sql)
    ),
    lambda r, sql, _p: Asked("POST", f"/?{_encoded(**_setting(r))}", _bytes(sql), key="clickhouse"),
    lambda _r, sql, _p: _multipart(query=sql, param_x="1"),
    lambda r, sql, p: Asked("GET", f"{_over(r, p)}?{_encoded(q=sql, tenant='globex', x='1')}"),
    lambda r, sql, p: Asked("POST", _v0(r, p), _encoded(q=sql, tenant="globex").encode(), _FORM),
    lambda r, sql, p: Asked("POST", f"{_v0(r, p)}?tenant=globex", json.dumps({"q": sql}).encode(), _JSON),
    lambda r, sql, p: Asked("GET", f"{_over(r, p)}?{_encoded(q=sql)}", headers={"Range": "bytes=0-99999"}),
)  # fmt: skip
WAYS = len(_SQL)


def sql_request(number: int, seed: int, sql: str, pipes: tuple[str, ...]) -> Asked:
    """Return one of the ways to send SQL; the same for the same numbers."""
    found = _SQL[number % WAYS](Random(seed), sql, pipes)
    return Asked(found.method, found.path, found.body, found.headers, sql, found.key)


def _cut_in_two(sql: str, at: int) -> Asked:
    """Return SQL whose first part is in the address, the rest in the body: ClickHouse reads them as two lines."""
    return Asked("POST", f"/?{_encoded(query=sql[:at])}", _bytes(sql[at:]), key="clickhouse")


def _setting(random: Random) -> dict[str, str]:
    name = random.choice(
        ("max_rows_to_read", "max_result_rows", "final", "readonly", "additional_table_filters", "max_memory_usage")
    )
    return {name: random.choice(("0", "1", "5", "{}")), "session_id": "a", "query_id": "a"}


def _multipart(**fields: str) -> Asked:
    mark = "a-mark-between-parts"
    parts = (f'--{mark}\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in fields.items())
    return Asked(
        "POST",
        "/",
        _bytes("".join(parts) + f"--{mark}--\r\n"),
        {"Content-Type": f"multipart/form-data; boundary={mark}"},
    )


def call_request(seed: int, pipe: str, values: Mapping[str, Any]) -> Asked:
    """Return one of the ways to call an endpoint with parameters."""
    random = Random(seed)
    said = json.dumps(values, ensure_ascii=False) + str(values)
    path = _over(random, (pipe,))
    way = random.randrange(6)
    if way == 0:
        return Asked("POST", path.replace("/v1/", "/v0/"), json.dumps(values).encode(), _JSON, said)
    if way == 1:
        return Asked("POST", path.replace("/v1/", "/v0/"), _encoded(**values).encode(), _FORM, said)
    if way == 2:
        q = "SELECT * FROM _ FORMAT JSON"
        return Asked("GET", f"{path}?{_encoded(**{**values, 'q': q})}", said=said)
    if way == 3:
        return Asked("POST", f"/v0/sql?{_encoded(**values)}", f"SELECT * FROM {pipe} FORMAT JSON".encode(), said=said)
    if way == 4 and random.randrange(3) == 0:
        return Asked("GET", f"/v0/pipes/{pipe}/explain?{_encoded(**values)}", said=said)
    return Asked("GET", f"{path}?{_encoded(**values)}", said=said)


def condition_request(seed: int, condition: str) -> Asked:
    """Return one of the ways to send a condition: only those that change nothing tell of `own`."""
    way = Random(seed).randrange(8)
    if way < 4:
        given = {"delete_condition": condition, "dry_run": "true"}
        path = f"/{'v0' if way % 2 else 'v1'}/datasources/own/delete"
        if way < 2:
            return Asked("POST", f"{path}?{_encoded(**given)}", said=condition)
        return Asked("POST", path, _encoded(**given).encode(), _FORM, condition)
    row = json.dumps({"id": 9, "tenant": "own", "val": "x"}).encode()
    given = {"replace_condition": condition, "mode": "replace", "name": "spare", "format": "ndjson"}
    if way == 4:
        return Asked("POST", f"/v0/datasources?{_encoded(**given)}", row, said=condition)
    if way == 5:
        return Asked("POST", f"/v1/datasources/spare/replace?{_encoded(**given)}", row, said=condition)
    given = {"delete_condition": condition, "wait": "true"}
    return Asked("POST", f"/{'v0' if way == 6 else 'v1'}/datasources/spare/delete?{_encoded(**given)}", said=condition)
