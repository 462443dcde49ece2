"""Sinks to topics: what keeps them from running, at its line."""

from __future__ import annotations

import pytest

from clickpipe.project import load_texts, sink_obstacle

BROKERS = "TYPE kafka\nKAFKA_BOOTSTRAP_SERVERS one:9092\n"
OAUTH = "KAFKA_SASL_MECHANISM OAUTHBEARER\n"


@pytest.mark.parametrize(
    ("lines", "connection", "at", "said"),
    [
        ({}, BROKERS, "", ""),
        ({"KAFKA_TOPIC": 'tb_secret("topic", "t")'}, BROKERS, "KAFKA_TOPIC", "a topic's name has"),
        ({"KAFKA_TOPIC": '{{ tb_secret("topic", "t") }}'}, BROKERS, "", ""),
        ({"KAFKA_TOPIC": "a/b"}, BROKERS, "KAFKA_TOPIC", "a topic's name has"),
        ({"KAFKA_TOPIC": "x" * 250}, BROKERS, "KAFKA_TOPIC", "a topic's name has"),
        ({"CONNECTION_NAME": "other"}, BROKERS, "CONNECTION_NAME", "'other' is not a connection to Kafka"),
        ({}, "TYPE s3\nS3_REGION eu-west-1\nS3_ACCESS_KEY a\nS3_SECRET b\n", "CONNECTION_NAME", "not a connection to"),
        ({}, "TYPE kafka\nKAFKA_KEY a\n", "CONNECTION_NAME", "there is no KAFKA_BOOTSTRAP_SERVERS"),
        ({}, f"{BROKERS}{OAUTH}", "CONNECTION_NAME", "there is no KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL"),
        ({}, f"{BROKERS}{OAUTH}KAFKA_SASL_OAUTHBEARER_METHOD AWS\n", "CONNECTION_NAME", "AWS is not built yet"),
        ({}, f"{BROKERS}KAFKA_SSL_CERTIFICATE_PEM x\n", "CONNECTION_NAME", "and no KAFKA_SSL_KEY_PEM"),
    ],
)
def test_what_keeps_it_from_running(lines: dict[str, str], connection: str, at: str, said: str) -> None:
    wanted = {"EXPORT_CONNECTION_NAME": "k", "EXPORT_KAFKA_TOPIC": "t", "EXPORT_SCHEDULE": "@on-demand"}
    wanted |= {f"EXPORT_{name}": value for name, value in lines.items()}
    text = "".join(f"{name} {value}\n" for name, value in wanted.items())
    project = load_texts({"k.connection": connection, "out.pipe": f"NODE n\nSQL >\n    SELECT 1\nTYPE sink\n{text}"})
    found = sink_obstacle(project.pipes["out"], project.connections)
    if not said:
        assert found is None
        return
    assert found is not None
    assert (found[0].text, said in found[1]) == (wanted[f"EXPORT_{at}"], True), found
