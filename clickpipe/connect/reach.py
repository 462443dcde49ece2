"""Which addresses a Kafka data source may have the server connect to: brokers, schema registries, token endpoints.

Names of brokers are looked up before librdkafka does it again, so this stops whoever names an address, not a name
server that answers in two ways: docs/security.md says what holds.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from clickpipe.catalog import DEFAULT_WORKSPACE, Registry
from clickpipe.config import Settings
from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest import is_public

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# Where clouds tell machines their credentials, in addition to all link-local addresses.
_METADATA = frozenset(
    map(ipaddress.ip_address, ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"))
)
_IN_IPV6 = tuple(map(ipaddress.ip_network, ("::/96", "64:ff9b::/96", "::ffff:0:0:0/96")))  # an IPv4 address at the end
_LABEL = re.compile(r"[A-Za-z0-9_-]{1,63}")
_IPV6 = re.compile(r"[0-9A-Fa-f:.]{2,45}(?:%[A-Za-z0-9_.-]{1,15})?")
_SERVER = re.compile(
    r"(?:[A-Za-z_]{3,14}://)?(?:\[(?P<in_brackets>[^\[\]/]+)\](?::[0-9]{1,5})?"
    r"|(?P<bare>[^\[\]/:]*:[^\[\]/]*:[^\[\]/]*)|(?P<name>[^\[\]/:]+)(?::[0-9]{1,5})?)"
)
_LONGEST, _MOST_SERVERS, _MOST_BROKERS = 253, 32, 1_000
_ODD = "the cluster names a broker by what is no host, or more brokers than {:,}"
_NEVER = "the host '{}' has a link-local address, or one where a cloud keeps its credentials: no setting allows these"
_PRIVATE = (
    "the host '{}' has an address that is not public. The server's setting kafka_hosts lists the hosts "
    "for which that is allowed (docs/kafka.md)"
)


_UNLISTED = (
    "the host '{}' is not listed. The server's setting kafka_hosts lists the brokers from which workspaces other than "
    "the default one may read (docs/kafka.md)"
)


@dataclass(frozen=True, slots=True)
class Reach:
    """The hosts that one workspace may read from: with `private`, any; else brokers are listed in `hosts`.

    A broker that answers with malformed data ends librdkafka, and with it the server, so the operator has to trust it.
    """

    private: bool = True
    hosts: frozenset[str] = frozenset()

    def require(self, hosts: Iterable[str]) -> None:
        """Raise ClickpipeError if a host's addresses are not all allowed. One that has none is for Kafka to report."""
        every = list(hosts)
        if len(every) > _MOST_BROKERS or not all(map(_is_host, every)):
            raise ClickpipeError(_ODD.format(_MOST_BROKERS), code="bad_broker")
        for host in every:
            self._check(host, _addresses(host))

    def require_brokers(self, hosts: Iterable[str]) -> None:
        """Raise ClickpipeError if a data source may not name these brokers. Those that they advertise are trusted."""
        every = list(hosts)
        self.require(every)
        for host in every:
            if not self.private and not self._lists(host, *_addresses(host)):
                raise ClickpipeError(_UNLISTED.format(host), code="unlisted_broker")

    def check(self, host: str, addresses: Sequence[str]) -> None:
        """Raise ClickpipeError if a host's addresses are not all allowed."""
        self._check(host, [ipaddress.ip_address(address.partition("%")[0]) for address in addresses])

    def _check(self, host: str, addresses: Iterable[_Address]) -> None:
        for address in addresses:
            if _is_never_allowed(address):
                raise ClickpipeError(_NEVER.format(host), code="private_address")
            if not self.private and not is_public(str(address)) and not self._lists(host, address):
                raise ClickpipeError(_PRIVATE.format(host), code="private_address")

    def _lists(self, host: str, *addresses: _Address) -> bool:
        name = host.lower()
        if self.hosts & {"*", name} or any(one.startswith("*.") and name.endswith(one[1:]) for one in self.hosts):
            return True
        networks = list(_networks(self.hosts))
        listed = [str(one) in self.hosts or any(one in network for network in networks) for one in addresses]
        return bool(listed) and all(listed)


def reach_of(workspace: str, registry: Registry, settings: Settings) -> Reach:
    """Return what a workspace may read from: the default one, and all of a server that only listens here, anything."""
    record = registry.record(workspace)
    own = record is not None and not record.parent and record.name == DEFAULT_WORKSPACE
    hosts = frozenset(name.strip().lower().strip("[]") for name in settings.kafka_hosts.split(",") if name.strip())
    return Reach(own or _is_loopback(settings.host), hosts)


def servers_of(text: str) -> dict[str, str]:
    """Return the servers of `bootstrap.servers` with their hosts: `a:1`, `a`, `[::1]:9092`, `PLAINTEXT://a:1`.

    Raises ClickpipeError for what librdkafka might read in another way (it takes no host for localhost, and cuts off
    long ones), and for very many: it starts a thread for each.
    """
    found: dict[str, str] = {}
    for server in filter(None, map(str.strip, text.split(","))):
        match = _SERVER.fullmatch(server)
        if match is None or not _is_host(host := match["in_brackets"] or match["bare"] or match["name"]):
            message = "KAFKA_BOOTSTRAP_SERVERS are host:port, separated by commas"
            raise ClickpipeError(message, code="bad_connection")
        found[server] = host
    if len(found) > _MOST_SERVERS:
        message = f"KAFKA_BOOTSTRAP_SERVERS are more than {_MOST_SERVERS}: some are enough, they name the others"
        raise ClickpipeError(message, code="bad_connection")
    return found


def _is_host(text: str) -> bool:
    """Return whether this is an address, or a name that everybody reads in the same way."""
    if ":" in text:
        try:
            return bool(_IPV6.fullmatch(text) and ipaddress.IPv6Address(text))
        except ValueError:
            return False
    return len(text) <= _LONGEST and all(map(_LABEL.fullmatch, text.split(".")))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _addresses(host: str) -> list[_Address]:
    try:
        found = {str(item[4][0]).partition("%")[0] for item in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return []
    return sorted(map(ipaddress.ip_address, found), key=str)


def _is_never_allowed(address: _Address) -> bool:
    real = address
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and any(address in network for network in _IN_IPV6):
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        # `::1` is loopback, not 0.0.0.1
        real = inner if inner is not None and not address.is_loopback and not address.is_unspecified else address
    return real in _METADATA or real.is_link_local or real.is_multicast


def _networks(hosts: Iterable[str]) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    found = []
    for host in hosts:
        try:
            found.append(ipaddress.ip_network(host, strict=False))
        except ValueError:
            continue
    return found
