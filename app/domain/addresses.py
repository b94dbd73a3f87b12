"""Which internet addresses a stranger may make us connect to: public ones only."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

IPAddress = IPv4Address | IPv6Address

# `is_global` follows IANA's registries. These it calls global, or leaves to the embedded address.
_REFUSED_4 = (
    IPv4Network("192.0.0.0/24"),  # protocol assignments (RFC 6890)
    IPv4Network("192.88.99.0/24"),  # the old 6to4 relays (RFC 7526)
)
_UNICAST_6 = IPv6Network("2000::/3")  # all that is given to hosts of the public internet (RFC 4291, 2.4)
_REFUSED_6 = (
    IPv6Network("2001::/23"),  # protocol assignments, Teredo among them (RFC 2928)
    IPv6Network("2001:db8::/32"),  # documentation
    IPv6Network("2002::/16"),  # 6to4: an IPv4 address inside (RFC 3056)
    IPv6Network("3fff::/20"),  # documentation (RFC 9637)
)
_NAT64 = IPv6Network("64:ff9b::/96")  # how an IPv6-only host reaches an IPv4 address (RFC 6052)


def is_public(address: str) -> bool:
    """Whether an address (text, as a resolver gives it) is one of the public internet. Nonsense is not."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return _is_public_4(parsed) if isinstance(parsed, IPv4Address) else _is_public_6(parsed)


def _is_public_4(address: IPv4Address) -> bool:
    """Not loopback, private, link-local, shared (CGNAT), reserved, for documentation, multicast or broadcast."""
    special = address.is_multicast or address.is_reserved or any(address in network for network in _REFUSED_4)
    return address.is_global and not special


def _is_public_6(address: IPv6Address) -> bool:
    """Global unicast. What carries an IPv4 address in another way than NAT64 is refused."""
    if address.scope_id is not None:
        return False
    if address in _NAT64:
        return _is_public_4(IPv4Address(int(address) & 0xFFFF_FFFF))
    special = any(address in network for network in _REFUSED_6)
    return address in _UNICAST_6 and address.is_global and not special
