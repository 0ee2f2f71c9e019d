"""Which hosts a sandboxed agent may reach: reading the list, judging a target, resolving it once."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.errors import InputError

_HOST = re.compile(r"[a-z0-9.-]{1,253}")
_PORT = re.compile(r"[0-9]{1,5}")
_DEFAULT_PORT = 443

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class RefusedError(Exception):
    """The target is not to be reached; the text says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """One host and port, in lower case."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def parse_hosts(entries: Sequence[str]) -> frozenset[Target]:
    """Read `host` (port 443) and `host:port`. Raises InputError naming each that is neither."""
    allowed, faults = set(), []
    for entry in entries:
        host, _, port = entry.partition(":")
        try:
            allowed.add(parse_target(f"{host}:{port or _DEFAULT_PORT}"))
        except RefusedError:
            faults.append(f"network: expected `host` or `host:port` in lower case (got {entry!r})")
    if faults:
        raise InputError("\n".join(faults), hint="wildcards and IPv6 literals are not taken; list each host")
    return frozenset(allowed)


def parse_target(text: str) -> Target:
    """Read `host:port` exactly. Raises RefusedError for anything but plain lower-case names and IPv4."""
    host, colon, port = text.partition(":")
    if not colon or not _HOST.fullmatch(host) or not _PORT.fullmatch(port) or not 0 < int(port) < 65536:
        raise RefusedError("not a plain host:port")
    if host.startswith((".", "-")) or host.endswith((".", "-")) or ".." in host:
        raise RefusedError("not a plain host name")
    return Target(host, int(port))


async def resolve_allowed(target: Target, allowed: frozenset[Target]) -> tuple[int, str]:
    """Return family and address to connect to. Raises RefusedError.

    A name is looked up once, and the connection goes to that very address. An inner address is taken
    only where the list names it literally, so no outer name can lead inside.
    """
    if target not in allowed:
        raise RefusedError("not on the list")
    literal = _literal(target.host)
    if literal:
        return socket.AF_INET, str(literal)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            target.host, target.port, type=socket.SOCK_STREAM, family=socket.AF_UNSPEC
        )
    except OSError as err:
        raise RefusedError(f"its name cannot be looked up: {err.strerror}") from err
    for family, _, _, _, address in found:
        if is_outer(str(address[0])):
            return family, str(address[0])
    raise RefusedError("its name leads to an inner address")


def is_outer(text: str) -> bool:
    """Whether an address is of the public internet, also when wrapped into IPv6."""
    address: Address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address in ipaddress.ip_network("64:ff9b::/96"):
            address = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        else:
            address = address.ipv4_mapped or address.sixtofour or address
    return address.is_global and not address.is_multicast


def _literal(host: str) -> ipaddress.IPv4Address | None:
    """Only the usual four decimal numbers; anything that merely looks numeric is a name, and fails as one."""
    try:
        return ipaddress.IPv4Address(host)
    except ValueError:
        if re.fullmatch(r"(0x[0-9a-f]*|[0-9]+)", host.rpartition(".")[2]):
            raise RefusedError("not a plain address") from None
        return None
