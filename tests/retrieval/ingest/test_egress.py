import ipaddress
import socket

import pytest

from headrace.contracts.errors import Forbidden, HeadraceError, InvalidRequest
from headrace.retrieval.ingest.egress import Allowed, CheckedResolver, is_public, literal


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "::1",
        "::",
        "fe80::1",
        "fd00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "2002:7f00:1::",
        "64:ff9b::a9fe:a9fe",
        "2001:db8::1",
    ],
)
def test_addresses_that_are_not_of_the_open_internet_are_blocked(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    with pytest.raises(Forbidden):
        Allowed(["example.org"]).check_address("example.org", ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses_pass(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))
    Allowed(["example.org"]).check_address("example.org", ipaddress.ip_address(address))


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("http://other.org/", Forbidden),
        ("http://example.org.evil.net/", Forbidden),
        ("http://sub.example.org/", Forbidden),
        ("http://8.8.8.8/", Forbidden),
        ("http://0x7f000001/", Forbidden),
        ("http://2130706433/", Forbidden),
        ("http://127.1/", Forbidden),
        ("http://[::1]/", Forbidden),
        ("http://[fe80::1%25eth0]/", Forbidden),
        ("file:///etc/passwd", InvalidRequest),
        ("ftp://example.org/", InvalidRequest),
        ("http:///path", InvalidRequest),
        ("http://user:pw@example.org/", InvalidRequest),
        ("http://example.org:99999/", InvalidRequest),
        ("http://example.org:0/", InvalidRequest),
        ("http://[bad/", InvalidRequest),
    ],
)
def test_urls_that_are_not_allowed_are_refused_unresolved(url: str, kind: type[HeadraceError]) -> None:
    with pytest.raises(kind):
        Allowed(["example.org"]).check_url(url)


@pytest.mark.parametrize("url", ["https://example.org/x?y", "http://EXAMPLE.org./", "http://b%C3%BCcher.de/"])
def test_an_allowed_host_passes_in_any_spelling(url: str) -> None:
    allowed = Allowed(["example.org", "bücher.de", "b%c3%bccher.de"]) if "%" not in url else Allowed(["example.org"])
    if "%" in url:
        with pytest.raises(Forbidden):
            allowed.check_url(url)
    else:
        assert allowed.check_url(url).scheme in {"http", "https"}


def test_names_are_compared_as_the_network_spells_them() -> None:
    assert Allowed(["bücher.de"]).check_url("http://xn--bcher-kva.de/").hostname == "xn--bcher-kva.de"


def test_a_listed_network_may_be_private() -> None:
    allowed = Allowed(["wiki.internal", "10.0.0.0/8", "::1"])
    allowed.check_url("http://10.2.3.4/")
    allowed.check_url("http://[::1]:8080/")
    allowed.check_address("wiki.internal", ipaddress.ip_address("10.9.9.9"))
    allowed.check_address("wiki.internal", ipaddress.ip_address("::ffff:10.9.9.9"))
    with pytest.raises(Forbidden, match=r"--allow-host 192\.168\.0\.1"):
        allowed.check_address("wiki.internal", ipaddress.ip_address("192.168.0.1"))


@pytest.mark.parametrize("entry", ["", "http://example.org", "a b", "*.example.org", "example.org:80"])
def test_an_entry_must_be_a_host_or_a_network(entry: str) -> None:
    with pytest.raises(InvalidRequest, match="--allow-host"):
        Allowed([entry])


def test_an_address_is_known_in_every_notation() -> None:
    assert str(literal("0x7f.1")) == "127.0.0.1"
    assert str(literal("::1")) == "::1"
    assert literal("example.org") is None


async def test_only_checked_addresses_are_handed_out() -> None:
    resolver = CheckedResolver(Allowed(["localhost", "127.0.0.0/8", "::1"]))
    found = await resolver.resolve("localhost", 80, socket.AF_INET)
    assert {place["host"] for place in found} == {"127.0.0.1"}
    await resolver.close()


async def test_a_name_that_leads_inside_is_refused() -> None:
    with pytest.raises(Forbidden, match="no public address"):
        await CheckedResolver(Allowed(["localhost"])).resolve("localhost", 80)
