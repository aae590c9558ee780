"""Which hosts may be fetched from, and which addresses behind them are connected to. Pure but for the name lookup.

A name that is not allowed is not even looked up. A looked-up name is connected to at the very addresses that were
checked; one address that is not public refuses the name, unless a network that was allowed holds it.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from typing import Final
from urllib.parse import SplitResult, urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult

from headrace.contracts.errors import Forbidden, InvalidRequest

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_PORTS: Final = {"http": 80, "https": 443}


class Allowed:
    """What was allowed: host names, and addresses or networks that may be private ones too."""

    def __init__(self, entries: Iterable[str]) -> None:
        self.names: set[str] = set()
        self.networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        for entry in entries:
            try:
                self.networks.append(ipaddress.ip_network(entry.strip("[]"), strict=False))
            except ValueError:
                self.names.add(_checked_name(entry))

    def check_url(self, url: str) -> SplitResult:
        """Return the parts of a URL that may be fetched; Forbidden or InvalidRequest for any other."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as exc:
            raise InvalidRequest(f"{url!r} is no URL") from exc
        if parts.scheme not in _PORTS or not host:
            raise InvalidRequest(f"{url!r} is no http or https URL")
        if parts.username is not None or parts.password is not None:
            raise InvalidRequest("a URL with a user name or password in it is not fetched")
        if port == 0:
            raise InvalidRequest(f"{url!r} has port 0")
        address = literal(host)
        if address is not None:
            if not self._is_listed(address):
                raise Forbidden(f"the address {host} is not allowed; allow it with --allow-host {host}")
        elif _ascii(host) not in self.names:
            raise Forbidden(f"the host {host!r} is not allowed; allow it with --allow-host {host}")
        return parts

    def check_address(self, host: str, address: Address) -> None:
        """Forbidden where this address of an allowed host is not to be connected to."""
        if not is_public(address) and not self._is_listed(address):
            raise Forbidden(
                f"{host!r} leads to {address}, which is no public address; allow it with --allow-host {address}"
            )

    def _is_listed(self, address: Address) -> bool:
        inner = embedded(address)
        return any(inner in network for network in self.networks if network.version == inner.version)


def is_public(address: Address) -> bool:
    """Tell whether an address is one of the open internet, also where IPv6 only wraps an IPv4 one."""
    inner = embedded(address)
    return inner.is_global and not inner.is_multicast and not inner.is_reserved and not inner.is_unspecified


def embedded(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one stands for, else the address."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else address


def literal(host: str) -> Address | None:
    """Return the address that a host is written as, in whatever notation a connection would take."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


class CheckedResolver(AbstractResolver):
    """Looks a name up once and hands out only what was checked; for an aiohttp connector without a cache."""

    def __init__(self, allowed: Allowed) -> None:
        self._allowed = allowed

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the checked addresses of a host; Forbidden if one of them is not to be connected to."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        for _, _, _, _, place in found:
            self._allowed.check_address(host, ipaddress.ip_address(str(place[0]).partition("%")[0]))
        return [
            ResolveResult(
                hostname=host, host=str(place[0]), port=port, family=kind, proto=proto, flags=socket.AI_NUMERICHOST
            )
            for kind, _, proto, _, place in found
        ]

    async def close(self) -> None:
        """Nothing is held."""


def _checked_name(entry: str) -> str:
    name = _ascii(entry)
    if not name or any(character in name for character in "/:*@?# "):
        raise InvalidRequest(f"--allow-host {entry!r}: give a host name, an address or a network such as 10.0.0.0/8")
    return name


def _ascii(host: str) -> str:
    name = host.rstrip(".").lower()
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        return name
