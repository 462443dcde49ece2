"""Replaces physical names in ClickHouse's messages by the names that users know.

Physical tables are named by workspace id and fingerprint, temporary ones have a further suffix, and messages may
contain paths in the data folder. ClickHouse knows nothing of workspaces, so it also suggests names from other ones.
"""

from __future__ import annotations

import re

_TABLE = re.compile(r"`?ws_[0-9a-f]{16}`?\.`?(\w+?)_[0-9a-f]{12}(?:_[a-z_]+_[0-9a-f]{8,12}\b)?`?")
_BARE = re.compile(r"\b([Tt]able|[Vv]iew) `(\w+?)_[0-9a-f]{12}`")  # sometimes the database is missing
_SERVICE = re.compile(r"`?ws_[0-9a-f]{16}_service`?\.`?(\w+)`?")
_OWN = re.compile(
    r"`?clickpipe_(?:probes|staged|exports)`?\.`?(?:ws_)?[0-9a-f]{16}_(?:[0-9a-f]{12}_)?(\w+?)(?:_[0-9a-f]{12})?\b`?"
)
_SPOOLED = re.compile(r"`?clickpipe_spool`?\.`?\w+`?")
_ALIAS_OF = re.compile(r" \(an alias of \w{1,256}_[0-9a-f]{12}\)")  # ClickHouse sees a data source as an alias
_ESTIMATED = re.compile(r"\bws_[0-9a-f]{16}\t(\w{1,256}?)_[0-9a-f]{12}\b")  # in the columns of EXPLAIN ESTIMATE
_SCALAR = re.compile(r"\b__getScalar\('\d{1,20}_\d{1,20}'")  # a digest of a sub-query with physical names and filters
_DATABASE = re.compile(r"`?\bws_[0-9a-f]{16}(?:_service)?\b`?")
_MEANT = re.compile(r"\s?Maybe you meant:? ([^?\n]{1,500})\?\.?")
_INNER = ("ws_", "clickpipe_", "system")
_PATH = re.compile(r"/[^\s'\"`(),:;<>\[\]{}|]{4,}+")
_KEPT = (
    *("/engine/store/", "/engine/data/", "/engine/spool/", "/engine/metadata/", "/engine/tmp"),
    *("/wal/ws_", "/uploads/"),
)


def without_physical_names(text: str) -> str:
    """Return a message with data source names instead of physical tables, and without paths of the host."""
    text = _MEANT.sub(lambda m: "" if any(inner in m[1] for inner in _INNER) else m[0], text)
    text = _SERVICE.sub(r"tinybird.\1", _TABLE.sub(r"\1", _BARE.sub(r"\1 \2", text)))
    text = _SCALAR.sub("__getScalar('…'", _SPOOLED.sub("the lines", _OWN.sub(r"\1", text)))
    text = _DATABASE.sub("default", _ESTIMATED.sub(r"default\t\1", _ALIAS_OF.sub("", text)))
    return _PATH.sub(lambda m: "the data folder" if any(part in m[0] for part in _KEPT) else m[0], text)
