"""Which hosts an agent may reach: exact names and ports, and never an inner address by an outer name."""

import pytest

from orchestrator.errors import InputError
from orchestrator.sandbox.hosts import RefusedError, Target, is_outer, parse_hosts, parse_target

INNER = [
    *("127.0.0.1", "127.8.9.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254"),
    *("100.64.0.1", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fd00::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "ff02::1", "192.0.2.1"),
]


@pytest.mark.parametrize("address", INNER)
def test_inner_addresses(address: str) -> None:
    assert not is_outer(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "140.82.112.3", "2606:4700::1111", "64:ff9b::101:101"])
def test_outer_addresses(address: str) -> None:
    assert is_outer(address)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "a.b",
            "a.b:",
            "a.b:0",
            "a.b:65536",
            "a.b:x",
            "a.b:4 43",
            "a.b:443:1",
            ":443",
            "A.b:443",
            "a_b:443",
        ),
        *("[::1]:443", "u@a.b:443", "a.b\0.c:443", "a.b.:443", ".a.b:443", "a..b:443", "-a.b:443", "ä.b:443"),
        *("a.b\n:443", "a.b:٤٤٣", "a b:443", f"{'a' * 254}:443", "a.b/:443", "a%2eb:443"),
    ],
)
def test_anything_but_a_plain_target_is_refused(text: str) -> None:
    with pytest.raises(RefusedError):
        parse_target(text)


def test_the_list_is_read() -> None:
    allowed = parse_hosts(["api.anthropic.com", "localhost:8080", "127.0.0.1:9"])
    assert allowed == {Target("api.anthropic.com", 443), Target("localhost", 8080), Target("127.0.0.1", 9)}


def test_each_wrong_entry_is_named() -> None:
    with pytest.raises(InputError) as caught:
        parse_hosts(["good.org", "*.evil.org", "http://x.org", "[::1]:80"])
    assert all(repr(entry) in str(caught.value) for entry in ("*.evil.org", "http://x.org", "[::1]:80"))
