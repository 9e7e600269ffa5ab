"""Metadata services of clouds are refused however their address is spelled."""

from ipaddress import ip_address

import pytest

from monitor.domain.metadata import RowProblem
from monitor.domain.metadata_address import is_metadata_address, is_metadata_host, refuse_metadata_address

REFUSED = (
    "169.254.169.254",
    "169.254.0.1",
    "169.254.170.2",
    "2852039166",
    "0xa9fea9fe",
    "0xA9.0xFE.0xA9.0xFE",
    "0251.0376.0251.0376",
    "169.254.43518",
    "169.16689662",
    "\uff11\uff16\uff19.254.169.254",
    "169\u3002254\u3002169\u3002254",
    "169%2e254.169.254",
    "0xa9.254.255.1",
    "169.254.0x.1",
    "169.254.169.254.",
    "[fe80::1]",
    "[fe80::1%25eth0]",
    "[fd00:ec2::254]",
    "[fd00:ec2::23]",
    "[fd20:ce::254]",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[::169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:a9fe:a9fe::1]",
    "[2001:0:4136:e378:8000:63bf:5601:5601]",  # Teredo, which writes it inverted
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "metadata",
    "metadata.google.internal",
    "METADATA.google.internal.",
    "metadata.goog",
    "%4Detadata.goog",
    "metadata.tencentyun.com",
    "instance-data",
    "instance-data.ec2.internal",
)
ALLOWED = (
    "127.0.0.1",
    "localhost",
    "[::1]",
    "10.0.0.7",
    "192.168.1.20",
    "169.253.1.1",
    "169.255.1.1",
    "100.100.100.201",
    "[fd00::1]",
    "[fe00::1]",
    "api.openai.com",
    "metadata.example.com",
    "gpu-1",
    "0",
    "1",
    "08.8.8.8",
    "169.254",  # 169.0.0.254 to a resolver
    "300.1.1.1",
    "4294967296",
    "1.2.3.4.5",
    "169.254.169.254.0",
    "169.254.169.2_54",
    "0xa9.253.256.1",  # no resolver carries over
    "0xa9.254.1.300",
    "[2001:db8::a9fe:a9fe]",
    "[::1:a9fe:a9fe]",
    "[::100.100.100.201]",
    "[2001:0:a9fe:a9fe:8000:63bf:f7f7:f7f7]",  # Teredo to 8.8.8.8, whoever relays it
)


@pytest.mark.parametrize("host", REFUSED)
@pytest.mark.parametrize(
    "form", ["http://{}", "https://{}:8443/v1", " http://{}/latest/meta-data ", "http://{} "]
)
def test_every_spelling_of_a_metadata_address_is_refused(host: str, form: str) -> None:
    with pytest.raises(RowProblem, match="MONITOR_ALLOW_METADATA_ADDRESSES") as refused:
        refuse_metadata_address(form.format(host), "metadata.base_url")
    assert str(refused.value).startswith("metadata.base_url is")


@pytest.mark.parametrize("host", ALLOWED)
def test_other_addresses_are_let_through(host: str) -> None:
    refuse_metadata_address(f"http://{host}:8000/v1")


def test_what_is_no_address_is_left_to_whoever_reads_addresses() -> None:
    for url in ("", "http://[", "nonsense", "http://"):
        refuse_metadata_address(url)


def test_an_address_with_a_zone_is_the_same_address() -> None:
    assert is_metadata_address(ip_address("fe80::1%eth0"))
    assert is_metadata_address(ip_address("fd20:ce::254%eth0"))
    assert not is_metadata_host("")


@pytest.mark.parametrize("host", ["[fe80::1]", "fe80::1", "METADATA.goog", "0XA9FEA9FE"])
def test_a_host_that_no_url_was_read_for_is_recognized_too(host: str) -> None:
    assert is_metadata_host(host)
