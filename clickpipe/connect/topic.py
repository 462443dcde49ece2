"""The topic of a data source, with librdkafka's settings; secrets are filled in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from clickpipe.catalog import Live
from clickpipe.connect.brokers import Brokers, brokers_of
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
    sharing_a_group,
    tls_of,
)

FIXED: dict[str, str | int | bool] = {
    "enable.auto.commit": False,  # positions are stored with the rows; commits only make the lag visible
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",  # `start.begin` decides; a missing offset is an error, never skipped
    "queued.max.messages.kbytes": 65_536,
    "topic.metadata.refresh.interval.ms": 30_000,
    "session.timeout.ms": 10_000,  # how long others wait for the partitions of a killed member
    "heartbeat.interval.ms": 1_000,
}


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

    @property
    def brokers(self) -> Brokers:
        """Return the brokers that have the topic."""
        return Brokers(self.settings, self.hidden, self.tls, self.login)


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
    brokers = brokers_of(options, filled)
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
        {**FIXED, "group.id": filled["KAFKA_GROUP_ID"], **brokers.settings},
        brokers.hidden,
        brokers.tls,
        brokers.login,
        _framing(filled),
    )


def _framing(options: Mapping[str, str]) -> Framing | None:
    value, key = (options.get(f"KAFKA_{what}_FORMAT", "").lower() for what in ("VALUE", "KEY"))
    if not {value, key} & {"avro", "json_with_schema"}:
        return None
    return Framing(value, key, options.get("KAFKA_SCHEMA_REGISTRY_URL", ""), tls_of(options).ca)


def _is_on(options: Mapping[str, str], name: str) -> bool:
    return options.get(name, "").lower() in {"true", "1", "yes", "on"}
