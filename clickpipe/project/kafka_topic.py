"""A Kafka data source's options: those in its file, and those of its connection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from clickpipe.diagnostics import Word
from clickpipe.project.kafka_columns import is_kafka
from clickpipe.project.model import Connection, DataSource
from clickpipe.project.pem import CA, CERTIFICATE, KEY, PASSWORD, Tls, pem_text

_SERVERS = "KAFKA_BOOTSTRAP_SERVERS"
_REGISTRY = "KAFKA_SCHEMA_REGISTRY_URL"
_METHOD, _ENDPOINT = "KAFKA_SASL_OAUTHBEARER_METHOD", "KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL"
_NOT_YET = "is not built yet"


def kafka_options(source: DataSource, connections: Mapping[str, Connection]) -> dict[str, str]:
    """Return the KAFKA_* options of a data source; its own override those of its connection."""
    words = {**_of_connection(source, connections), **source.connector}
    return {name: word.text for name, word in words.items() if name.startswith("KAFKA_")}


def kafka_obstacle(source: DataSource, connections: Mapping[str, Connection]) -> tuple[Word, str] | None:
    """Return the line that keeps a Kafka data source from reading, and why; None if nothing does."""
    options = source.connector
    if (word := options.get("KAFKA_KEY_AVRO_DESERIALIZATION")) is not None:
        return word, "KAFKA_KEY_AVRO_DESERIALIZATION is not built: write KAFKA_KEY_FORMAT avro"
    named = options.get("KAFKA_CONNECTION_NAME")
    of_connection = _of_connection(source, connections)
    found = {**of_connection, **options}
    for name in ("KAFKA_VALUE_FORMAT", "KAFKA_KEY_FORMAT"):
        word = options.get(name)
        if word is not None and word.text.lower() == "avro" and _REGISTRY not in found:
            return word, f"there is no {_REGISTRY}"
    for name in ("KAFKA_TOPIC", "KAFKA_GROUP_ID"):
        if name not in found:
            return named or next(iter(options.values())), f"there is no {name}"
    if (problem := brokers_obstacle(found)) is not None:
        name, reason = problem
        if named is not None and name not in options:
            return named, reason
        return found.get(name, next(iter(options.values()))), reason
    return None


def brokers_obstacle(options: Mapping[str, Word]) -> tuple[str, str] | None:
    """Return the option of a connection that keeps its brokers from being used, and why; None if nothing does."""
    if (problem := _oauth_obstacle(options)) is not None:
        return problem
    if _SERVERS not in options:
        return _SERVERS, f"there is no {_SERVERS}"
    return _tls_obstacle(options)


def tls_of(options: Mapping[str, str]) -> Tls:
    """Return what the options of a connection have for TLS."""
    ca, certificate, key = (pem_text(options.get(name, "")) for name in (CA, CERTIFICATE, KEY))
    return Tls(ca, certificate, key, options.get(PASSWORD, ""))


def sharing_a_group(sources: Iterable[DataSource], connections: Mapping[str, Connection]) -> dict[str, str]:
    """Return data sources that do not read their topic, because another (the value) reads it in the same group.

    Otherwise each would get a part of the messages.
    """
    first: dict[tuple[str | None, ...], str] = {}
    found: dict[str, str] = {}
    for source in sorted(sources, key=lambda source: source.name):
        if is_kafka(source.connector):
            options = kafka_options(source, connections)
            key = tuple(map(options.get, ("KAFKA_BOOTSTRAP_SERVERS", "KAFKA_TOPIC", "KAFKA_GROUP_ID")))
            if (other := first.setdefault(key, source.name)) != source.name:
                found[source.name] = other
    return found


def _oauth_obstacle(options: Mapping[str, Word]) -> tuple[str, str] | None:
    mechanism = options.get("KAFKA_SASL_MECHANISM")
    if mechanism is None or mechanism.text.lower() != "oauthbearer":
        return None
    method = options.get(_METHOD)
    if method is not None and method.text.lower() == "aws":
        return _METHOD, f"{_METHOD} AWS {_NOT_YET}: use KAFKA_SASL_MECHANISM SCRAM-SHA-512, which Amazon MSK has, too"
    if method is not None and method.text.lower() != "oidc":
        return _METHOD, f"{_METHOD} takes OIDC"
    if _ENDPOINT not in options:
        return "KAFKA_SASL_MECHANISM", f"there is no {_ENDPOINT}"
    return None


def _tls_obstacle(options: Mapping[str, Word]) -> tuple[str, str] | None:
    for one, other in ((CERTIFICATE, KEY), (KEY, CERTIFICATE)):
        if one in options and other not in options:
            return one, f"there is {one} and no {other}"
    # What comes from secrets is checked when it is used.
    written = {name: word.text for name, word in options.items() if "{{" not in word.text}
    if PASSWORD in options and PASSWORD not in written:
        written.pop(KEY, None)
    return _problem(tls_of(written))


@lru_cache(maxsize=64)
def _problem(tls: Tls) -> tuple[str, str] | None:
    return tls.problem()


def _of_connection(source: DataSource, connections: Mapping[str, Connection]) -> Mapping[str, Word]:
    named = source.connector.get("KAFKA_CONNECTION_NAME")
    found = connections.get(named.text) if named is not None else None
    return found.options if found is not None and found.type == "kafka" else {}
