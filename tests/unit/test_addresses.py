"""Which addresses a customer's URL may lead to."""

from __future__ import annotations

import pytest

from app.domain.addresses import is_public

REFUSED = """
    127.0.0.1 127.255.255.254 0.0.0.0 10.1.2.3 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254 100.64.0.1
    100.127.255.255 192.0.0.1 192.0.0.9 192.0.2.1 192.88.99.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1
    239.255.255.255 240.0.0.1 255.255.255.255
    ::1 :: fe80::1 fe80::1%eth0 fc00::1 fd12::1 fec0::1 ff02::1 100::1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::127.0.0.1
    ::ffff:0:127.0.0.1 64:ff9b::7f00:1 64:ff9b::a00:1 64:ff9b:1::1 2001::1 2001:db8::1 2002:7f00:1:: 3fff::1
    5f00::1 4000::1
    localhost 127.1 0x7f000001 2130706433 8.8.8.8:80 8.8.8.8/32
"""
ALLOWED = "8.8.8.8 93.184.215.14 172.32.0.1 100.128.0.1 2606:4700:4700::1111 2a00:1450:4001::1 64:ff9b::808:808"


@pytest.mark.parametrize("address", [*REFUSED.split(), ""])
def test_address_that_is_not_public_is_refused(address: str) -> None:
    """Loopback, private, link-local, shared, reserved, multicast, what wraps one of them, and what is none."""
    assert not is_public(address)


@pytest.mark.parametrize("address", ALLOWED.split())
def test_public_address_is_allowed(address: str) -> None:
    """Also one right beside a private range, and an IPv4 address as an IPv6-only host sees it."""
    assert is_public(address)
