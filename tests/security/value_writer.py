"""Writes values of parameters that try to become SQL, names, settings or somebody else's values."""

# ruff: noqa: E501, RUF001 - lists of values, of quotes that are none
from __future__ import annotations

import re
from collections.abc import Mapping
from random import Random
from typing import Any

# The parameters of each pipe, and values that it takes: hostile ones stand beside them.
PARAMETERS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "mine": {"tenant": ("acme", "globex")},
    "wide": {"tenant": ("acme", "globex")},
    "acmes": {"x": ("1",)},
    "sec": {"x": ("1",)},
    "oth": {"x": ("1",)},
    "tables": {"name": ("events", "mine", "other", "own_quarantine")},
    "names": {
        "col": ("id", "val", "tenant"),
        "cols": ("id", "tenant,id", "val,val"),
        "sym": ("id", "val"),
        "order": ("val", "tenant", "id"),
        "text": ("x",),
        "num": ("7", "-1"),
        "list": ("a,b", "x"),
        "at": ("2026-02-03 04:05:06",),
        "part": ("0.25",),
        "more": ("y",),
        "who": ("acme", "globex"),
        "ids": ("0", "0,1,100,101"),
        "kinds": ("a,b",),
        "limit": ("3", "100"),
    },
}
_HOSTILE = (
    "'", "''", "\\'", "\\", "\\\\", '"', "`", "```", "' OR 1 --", "' OR '1'='1", "') OR (1", "acme' OR tenant != '", "1; SELECT 1",
    "1) UNION ALL SELECT val FROM other --", "/*", "*/", "--", "#", "{{tb_secret('key')}}", "{{x}}", "{%", "%}", "{#", "{x:String}",
    "{secret_key:String}", "{tenant:String}", "\u2019", "\u2018x\u2019", "“val”", "\u02bc OR 1", "＇ OR 1", "\u0000", "\x00acme", "acme\x00",
    "$$", "$$ OR 1 $$", "%27 OR 1", "%00", "\n", "acme\n", " acme", "ACME", "a%", "%", "_", "acme,globex", "['acme','globex']",
    '["acme", "globex"]', "[]", "{}", '{"a": 1}', "null", "NULL", "\\N", "nan", "inf", "-inf", "1e400", "1e9999999", "0x10", "1_000",
    "99999999999999999999999999", "-9223372036854775809", "1.5", "true", "2026-13-45 99:99:99", "1970-01-01", "9999-12-31 23:59:59",
    "val", "val) FROM other --", "val`, `tenant", "events.val", "other.val", "`val`", '"val"', "_part", "_partition_id", "_partition_value", "_table",
    "*", "COLUMNS('.*')", "count()", "id, val", "(SELECT any(val) FROM other)", "file('/etc/passwd')", "system.tables", "other",
    "events_quarantine", "system.one", "tinybird.pipe_stats_rt", "other FINAL", "other`", "numbers(3)", "__class__", "val.size0", "val.null",
    "id.tenant", "id -- ", "tenant desc", "id as val", "sum", "c", "more", "t", "\ud83d\ude00", "\u0130", "ﬁ", "\u202e", "é", "x" * 5_000, "'" * 3_000,
    "{" * 3_000, "1," * 3_000, "(" * 3_000,
)  # fmt: skip
_NAMES = (
    "secret_key", "tenant", "x", "__tb__semver", "_mode", "_pipeline", "token", "q", "explain", "pipeline", "from", "debug", "self",
    "output_format_json_quote_64bit_integers", "param_x", "max_rows_to_read", "cache", "tb_secret", "run", "context", "col", "who",
)  # fmt: skip
_CHARS = re.compile("[\ud800-\udfff]")


class ValueWriter:
    """Writes what is sent with a call; the same for the same seed."""

    def __init__(self, seed: int, physical: tuple[str, ...]) -> None:
        self._random = Random(seed)
        self._physical = physical

    def values(self, pipe: str) -> dict[str, Any]:
        """Return the parameters of a call: one or two are hostile, or of another kind than is asked for."""
        known = PARAMETERS.get(pipe, {})
        found: dict[str, Any] = {
            name: self._random.choice(good) for name, good in known.items() if self._random.randrange(3) == 0
        }
        for _ in range(self._random.randrange(1, 3)):
            name = self._random.choice([*known, *known, *known, self._random.choice(_NAMES)])
            found[name] = self._value(known.get(name, ("1",)))
        return found

    def _value(self, good: tuple[str, ...]) -> Any:
        kind = self._random.randrange(12)
        text = _CHARS.sub("?", self._random.choice((*_HOSTILE, *self._physical)))
        if kind < 6:
            return text
        if kind == 6:
            return self._random.choice(good) + text
        if kind == 7:
            return text + self._random.choice(good)
        if kind == 8:
            return [self._random.choice(good), text]
        if kind == 9:
            return [text, self._random.choice(good), text]
        if kind == 10:
            return self._random.choice((0, -1, 1.5, True, False, None, [], {}, [[1]], {"a": [text]}, 10**30, [None]))
        return "".join(
            self._random.choices("'\"`\\{}%#-/*()[],;$ \n\x00aé\u2019\U0001f600", k=self._random.randrange(30))
        )
