"""Tries whether a topic's brokers can be reached, and take the keys of a connection."""

from __future__ import annotations

import logging

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from clickpipe.connect.brokers import Brokers, client_settings
from clickpipe.connect.reach import Reach
from clickpipe.diagnostics import ClickpipeError, redact

_QUIET = logging.getLogger(f"{__name__}.librdkafka")
_QUIET.setLevel(logging.CRITICAL)  # errors also reach `error_cb`
_TIMEOUT = 10.0  # seconds


def check_brokers(brokers: Brokers, topic: str | None, reach: Reach) -> str:
    """Ask brokers for their topics; return what is known of one, or how many there are (`topic` is None).

    Takes up to ten seconds. Raises ClickpipeError if they are out of `reach`, do not answer, refuse the keys, or have
    no such topic.
    """
    problems: list[str] = []
    settings, tokens = client_settings(brokers, reach)
    settings["error_cb"] = lambda error: problems.append(error.str())
    try:
        client = AdminClient(settings, logger=_QUIET)
        try:
            found = client.list_topics(timeout=_TIMEOUT)  # all: brokers may create a topic that they are asked for
        finally:
            client.poll(0)
    except KafkaException as error:
        no_token = tokens.problem if tokens is not None else ""
        causes = [no_token] if no_token else list(dict.fromkeys([error.args[0].str(), *problems]))
        raise _refused("; ".join(causes), brokers) from None
    reach.require(str(broker.host) for broker in found.brokers.values())
    if topic is None:
        return f"{_counted(len(found.brokers), 'broker')}, {_counted(len(found.topics), 'topic')}"
    about = found.topics.get(topic)
    if about is None:
        raise _refused(f"there is no topic '{topic}', or the key may not see it", brokers)
    if about.error is not None:
        raise _refused(f"the topic '{topic}' cannot be read: {about.error.str()}", brokers)
    return f"the topic '{topic}', {_counted(len(about.partitions), 'partition')}"


def _refused(text: str, brokers: Brokers) -> ClickpipeError:
    return ClickpipeError(redact(text, brokers.hidden), code="bad_connection")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
