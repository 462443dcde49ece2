"""A Kafka data source reaches no cloud's credentials, and private hosts only where the operator wants that."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from clickpipe.catalog import Registry, Workspace as WorkspaceRecord
from clickpipe.config import Settings
from clickpipe.connect import Consumers, Topic, topics_of
from clickpipe.connect.reach import Reach, reach_of, servers_of
from clickpipe.connect.reader import Reader
from clickpipe.diagnostics import ClickpipeError
from clickpipe.observe import KafkaLog
from clickpipe.runtime import Instance, Workspace
from tests.connect.conftest import Broker, files, until

NEVER = [
    *("169.254.169.254", "169.254.0.1", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "fe80::1", "fe80::1%lo"),
    *("::ffff:169.254.169.254", "::169.254.169.254", "64:ff9b::169.254.169.254", "2002:a9fe:a9fe::", "fd00:ec2::254"),
    *("100.100.100.200", "168.63.129.16", "192.0.0.192", "224.0.0.1", "ff02::1"),
]
PRIVATE = ["127.0.0.1", "localhost", "10.1.2.3", "192.168.0.1", "172.17.0.2", "::1", "fd12::3", "0", "2130706433"]


@pytest.mark.parametrize("host", NEVER)
@pytest.mark.parametrize("reach", [Reach(), Reach(private=False), Reach(private=False, hosts=frozenset("*"))])
def test_no_setting_reaches_what_tells_credentials(host: str, reach: Reach) -> None:
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        pytest.skip("no address on this machine")
    with pytest.raises(ClickpipeError, match="no setting allows"):
        reach.require([host])


@pytest.mark.parametrize("host", PRIVATE)
def test_private_hosts_are_reached_only_if_listed(host: str) -> None:
    with pytest.raises(ClickpipeError, match="kafka_hosts"):
        Reach(private=False, hosts=frozenset({"another", "203.0.113.0/24"})).require([host])
    for listed in ({host}, {"*"}, {"0.0.0.0/0", "::/0"}):
        Reach(private=False, hosts=frozenset(listed)).require([host])
    Reach().require([host])


def test_public_hosts_are_reached() -> None:
    Reach(private=False).require(["8.8.8.8", "2606:4700::1111", "no-such-host.invalid"])


@pytest.mark.parametrize("host", ["8.8.8.8", "2606:4700::1111", "pkc-1.eu.example.invalid"])
def test_a_data_source_names_only_brokers_that_the_operator_lists(host: str) -> None:
    Reach().require_brokers([host])
    for listed in ({"another"}, {"8.8.4.0/24"}, {"*.other.invalid"}, {"eu.example.invalid"}, set[str]()):
        with pytest.raises(ClickpipeError, match="kafka_hosts lists the brokers"):
            Reach(private=False, hosts=frozenset(listed)).require_brokers([host])
    for listed in ({host}, {"*"}, {"8.8.8.0/24", "2606::/16", "*.example.invalid"}):
        Reach(private=False, hosts=frozenset(listed)).require_brokers([host])


@pytest.mark.parametrize(
    ("servers", "hosts"),
    [
        ("a:1, b:2", ["a", "b"]),
        ("a", ["a"]),
        ("[::1]:9092,::2", ["::1", "::2"]),
        ("PLAINTEXT://a:1,SASL_SSL://[fe80::1]:2", ["a", "fe80::1"]),
        (" , ", []),
    ],
)
def test_hosts_of_servers(servers: str, hosts: list[str]) -> None:
    assert list(servers_of(servers).values()) == hosts


ODD = [
    *(
        ":9092",
        "PLAINTEXT://:9092",
        "[]:9092",
        "[]",
        "a,:9092",
        "0" * 64 + "177.0.0.1:9092",
        "0" * 300,
        "a..b",
        ".",
        "a.",
    ),
    *("PLAINTEXT://127.0.0.1//example.com", "PLAINTEXT://127.0.0.1:9092//x.example", "a/b", "a b:1", "a\n:1"),
    *(
        "a\0:1",
        "[127.0.0.1]x:9092",
        "127.0.0.1]:9092",
        "[::1",
        "[[::1]]:1",
        "x@127.0.0.1:9092",
        "a:",
        "a:1:2",
        "a:b",
        "a:123456",
    ),
    *("127.0.0.1%lo", "\N{FULLWIDTH DIGIT ONE}27.0.0.1", "a\N{IDEOGRAPHIC FULL STOP}b", "a:\N{ARABIC-INDIC DIGIT ONE}"),
    *("A://B://a", "://a", "[a]:1:2", ",".join(f"a{n}" for n in range(33))),
]


@pytest.mark.parametrize("servers", ODD)
def test_servers_that_librdkafka_might_read_in_another_way_are_refused(servers: str) -> None:
    with pytest.raises(ClickpipeError, match="KAFKA_BOOTSTRAP_SERVERS are"):
        servers_of(servers)


@pytest.mark.parametrize("host", ["", "0" * 64, "a" * 254, "a b", "a/b", "[::1]", "127.0.0.1\n", "a..b"])
def test_a_cluster_that_names_odd_brokers_is_not_read(host: str) -> None:
    with pytest.raises(ClickpipeError, match="no host"):
        Reach().require(["8.8.8.8", host])


def test_a_cluster_of_very_many_brokers_is_not_read() -> None:
    with pytest.raises(ClickpipeError, match="more brokers than"):
        Reach().require(["8.8.8.8"] * 1_001)


@pytest.mark.parametrize(
    ("name", "parent", "host", "private"),
    [
        ("default", "", "10.0.0.5", True),
        ("acme", "", "127.0.0.1", True),
        ("acme", "", "localhost", True),
        ("acme", "", "10.0.0.5", False),
        ("acme", "", "::", False),
        ("default", "acme", "10.0.0.5", False),
    ],
)
def test_who_reaches_private_hosts(name: str, parent: str, host: str, private: object) -> None:
    registry = Registry()
    registry.add(WorkspaceRecord("1", name, "", parent))
    found = reach_of("1", registry, Settings(host=host, kafka_hosts="Broker, [::1]"))
    assert found == Reach(bool(private), frozenset({"broker", "::1"}))


def test_a_reader_that_may_not_reach_its_broker_says_so(instance: Instance, workspace: Workspace) -> None:
    registry = Registry()
    registry._by_id[workspace.id] = instance.registry._by_id[workspace.id]
    problems: list[str] = []

    class Log(KafkaLog):
        def problem(self, *what: Any) -> None:
            problems.append(str(what))

    with socket.create_server(("127.0.0.1", 0)) as broker:
        broker.setblocking(False)
        workspace.deploy(files(f"127.0.0.1:{broker.getsockname()[1]}", "clicks"))
        log = Log(instance.service_log, instance.registry)
        consumers = Consumers(
            instance.ingester,
            registry,
            instance.secrets,
            log,
            instance.catalog.stopped,
            settings=Settings(host="192.0.2.1"),
            seconds=0.1,
        )
        consumers.start()
        try:
            until(lambda: any("kafka_hosts" in problem for problem in problems), 60)
        finally:
            consumers.close()
        with pytest.raises(BlockingIOError):
            broker.accept()


@pytest.mark.slow
def test_brokers_that_a_cluster_advertises_are_checked_too(
    instance: Instance, workspace: Workspace, mock: Broker
) -> None:
    """The cluster, which is listed by its name, advertises an address."""
    named = mock.servers.replace("127.0.0.1", "localhost")
    assert named != mock.servers
    workspace.deploy(files(named, mock.topic))
    assert workspace.live is not None
    (topic,) = topics_of(workspace.id, workspace.live, lambda _: None)
    assert isinstance(topic, Topic)
    reader = Reader(topic, instance.ingester, reach=Reach(private=False, hosts=frozenset({"localhost"})))
    try:
        assert "kafka_hosts" in until(lambda: reader.status.problem, 60)
        assert "127.0.0.1" in reader.status.problem
    finally:
        reader.close()
