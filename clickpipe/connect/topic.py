"""The topic of a data source, with librdkafka's settings; secrets are filled in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from clickpipe.catalog import Live
from clickpipe.connect.framing import Framing
from clickpipe.connect.login import Login
from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest import Stored
from clickpipe.project import (
    DataSource,
    Tls,
    fill_secrets,
    is_kafka,
    kafka_obstacle,
    kafka_options,
    pem_text,
    sharing_a_group,
    tls_of,
)

FIXED: dict[str, str | int | bool] = {
    "client.id": "clickpipe",
    "enable.auto.commit": False,  # positions are stored with the rows; commits only make the lag visible
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",  # `start.begin` decides; a missing offset is an error, never skipped
    "queued.max.messages.kbytes": 65_536,
    "topic.metadata.refresh.interval.ms": 30_000,
    "session.timeout.ms": 10_000,  # how long others wait for the partitions of a killed member
    "heartbeat.interval.ms": 1_000,
}
_OAUTH = "KAFKA_SASL_OAUTHBEARER"
_SECRET_OPTIONS = ("KAFKA_KEY", "KAFKA_SECRET", "KAFKA_SSL_KEY_PEM", "KAFKA_SSL_KEY_PASSWORD")
_CREDENTIALS = re.compile(r"://([^/?#]*)@")


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic that a data source reads as a member of `group`.

    `reset` (latest, earliest or error) says where to start a partition that the group has never read. `settings` are
    librdkafka's; `tls` is what of them is to be checked before it is used; `login` says where tokens come from,
    for OAUTHBEARER; `framing` is the form of framed messages; `hidden` lists the secrets, which must not be shown.
    """

    workspace: str
    data_source: str
    name: str
    group: str
    reset: str
    stored: Stored
    settings: Mapping[str, str | int | bool] = field(repr=False)
    hidden: tuple[str, ...] = field(default=(), repr=False)
    tls: Tls = field(default_factory=Tls)
    login: Login | None = None
    framing: Framing | None = None


def topics_of(
    workspace: str, live: Live, secret: Callable[[str], str | None]
) -> Iterator[Topic | tuple[str, ClickpipeError]]:
    """Yield the topics that a deployment's data sources read; for one that cannot, its name and the error."""
    project = live.compiled.project
    sharing = sharing_a_group(live.compiled.data_sources.values(), project.connections)
    for source in live.compiled.data_sources.values():
        if not is_kafka(source.connector) or kafka_obstacle(source, project.connections) is not None:
            continue
        if not live.takes_events(source.name):
            continue
        if (other := sharing.get(source.name)) is not None:
            message = f"'{other}' reads the topic in the same group: set another KAFKA_GROUP_ID."
            yield source.name, ClickpipeError(message, code="shared_group")
            continue
        try:
            yield _topic(workspace, source, kafka_options(source, project.connections), secret)
        except ClickpipeError as error:
            yield source.name, error


def _topic(
    workspace: str, source: DataSource, options: Mapping[str, str], secret: Callable[[str], str | None]
) -> Topic:
    filled = {name: fill_secrets(text, secret).strip() for name, text in options.items()}
    return Topic(
        workspace,
        source.name,
        filled["KAFKA_TOPIC"],
        filled["KAFKA_GROUP_ID"],
        filled.get("KAFKA_AUTO_OFFSET_RESET", "latest").lower(),
        Stored(
            value=_is_on(filled, "KAFKA_STORE_RAW_VALUE"),
            headers=source.column("__headers") is not None,
            whole=any(column.jsonpath in {"$", "$."} for column in source.columns),
        ),
        _settings(filled),
        tuple(
            secret
            for name in options
            if name in _SECRET_OPTIONS or filled[name] != options[name].strip() or _CREDENTIALS.search(filled[name])
            for secret in _hidden(filled[name])
        ),
        tls_of(filled) if _protocol(filled).endswith("SSL") else Tls(),
        _login(filled) if _by_token(filled) else None,
        _framing(filled),
    )


def _settings(options: Mapping[str, str]) -> dict[str, str | int | bool]:
    protocol = _protocol(options)
    settings = {
        **FIXED,
        "bootstrap.servers": options["KAFKA_BOOTSTRAP_SERVERS"],
        "group.id": options["KAFKA_GROUP_ID"],
        "security.protocol": protocol,
    }
    if protocol.startswith("SASL"):
        if "KAFKA_KEY" not in options or "KAFKA_SECRET" not in options:
            message = (
                f"The connection has the protocol {protocol}, and no KAFKA_KEY and KAFKA_SECRET: "
                "add them, or KAFKA_SECURITY_PROTOCOL PLAINTEXT or SSL."
            )
            raise ClickpipeError(message, code="bad_connection")
        settings["sasl.mechanisms"] = options.get("KAFKA_SASL_MECHANISM", "PLAIN").upper()
        if not _by_token(options):
            settings["sasl.username"], settings["sasl.password"] = options["KAFKA_KEY"], options["KAFKA_SECRET"]
    if protocol.endswith("SSL"):
        settings |= _tls_settings(tls_of(options))
    return settings


def _hidden(value: str) -> list[str]:
    """Return what to hide of a secret: of PEM, not the lines that say what it is; of a URL, whose it is."""
    if (found := _CREDENTIALS.search(value)) is not None:
        password = found[1].partition(":")[2]
        return [found[1], password, unquote(password)]
    return [line for line in pem_text(value).splitlines() if "-----" not in line] if "-----BEGIN" in value else [value]


def _protocol(options: Mapping[str, str]) -> str:
    return options.get("KAFKA_SECURITY_PROTOCOL", "SASL_SSL").upper()


def _by_token(options: Mapping[str, str]) -> bool:
    return _protocol(options).startswith("SASL") and options.get("KAFKA_SASL_MECHANISM", "").upper() == "OAUTHBEARER"


def _framing(options: Mapping[str, str]) -> Framing | None:
    value, key = (options.get(f"KAFKA_{what}_FORMAT", "").lower() for what in ("VALUE", "KEY"))
    if not {value, key} & {"avro", "json_with_schema"}:
        return None
    return Framing(value, key, options.get("KAFKA_SCHEMA_REGISTRY_URL", ""), tls_of(options).ca)


def _login(options: Mapping[str, str]) -> Login:
    pairs = (pair.partition("=") for pair in options.get(f"{_OAUTH}_EXTENSIONS", "").split(",") if pair.strip())
    return Login(
        options[f"{_OAUTH}_TOKEN_ENDPOINT_URL"],
        options["KAFKA_KEY"],
        options["KAFKA_SECRET"],
        options.get(f"{_OAUTH}_SCOPE", ""),
        tuple((name.strip(), value.strip()) for name, _, value in pairs),
        tls_of(options).ca,
    )


def _tls_settings(tls: Tls) -> dict[str, str]:
    made = {
        "ssl.ca.pem": tls.ca,
        "ssl.certificate.pem": tls.certificate,
        "ssl.key.pem": tls.key,
        "ssl.key.password": tls.password,
    }
    return {name: value for name, value in made.items() if value}


def _is_on(options: Mapping[str, str], name: str) -> bool:
    return options.get(name, "").lower() in {"true", "1", "yes", "on"}
