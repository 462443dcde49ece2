"""Which addresses are public."""

from __future__ import annotations

import ipaddress

_SPECIAL = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "240.0.0.0/4"),
        *("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64"),  # IPv4 in IPv6
        *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fec0::/10"),
    )
)


def is_public(address: str) -> bool:
    """Return whether an address is public: neither reserved nor an IPv6 form of an IPv4 address."""
    found = ipaddress.ip_address(address.partition("%")[0])
    odd = found.is_multicast or found.is_reserved or found.is_unspecified or found.is_loopback or found.is_link_local
    special = any(found in network for network in _SPECIAL if network.version == found.version)
    return found.is_global and not odd and not special
