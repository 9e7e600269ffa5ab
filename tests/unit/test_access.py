"""Roles, the form of tokens, and the bound on guessing."""

import pytest

from monitor.domain.access import TokenRole, check_name, digest, read_token, write_token
from monitor.web.throttle import BURST, EVERY_SECONDS, MOST_ADDRESSES, Throttle

SECRET = "abc_-DEF" * 5


def test_each_role_may_do_what_the_ones_before_it_may() -> None:
    allowed = {(one, other) for one in TokenRole for other in TokenRole if one.includes(other)}
    viewer, reporter, admin = TokenRole
    assert allowed == {
        (viewer, viewer),
        (reporter, viewer),
        (reporter, reporter),
        (admin, viewer),
        (admin, reporter),
        (admin, admin),
    }


def test_a_token_is_read_as_it_was_written() -> None:
    assert read_token(write_token(12, SECRET)) == (12, SECRET)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "llmm_12_",
        "llmm_12",
        f"llmm_-1_{SECRET}",
        f"llmm_0_{SECRET}",
        f"llmm_2147483648_{SECRET}",
        f"llmm_12_{SECRET}\n",
        f" llmm_12_{SECRET}",
        f"llmm_12_{SECRET}é",
        f"llmm_١٢_{SECRET}",
        f"llmm_12_{'a' * 201}",
    ],
)
def test_nothing_else_is_a_token(text: str) -> None:
    assert read_token(text) is None


def test_the_largest_id_of_a_row_is_the_largest_of_a_token() -> None:
    assert read_token(f"llmm_2147483647_{SECRET}") == (2147483647, SECRET)


def test_a_digest_is_a_sha_256() -> None:
    assert digest("a").hex().startswith("ca978112ca1bbdca")


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "\x1b[31m", "x" * 101])
def test_a_name_can_be_shown(name: str) -> None:
    with pytest.raises(ValueError, match="printable"):
        check_name(name)
    assert check_name(" Ops team ") == "Ops team"
    assert check_name("x" * 100) == "x" * 100


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_guessing_is_bounded_for_each_client() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    assert [throttle.fail("192.0.2.1") for _ in range(BURST)] == [None] * BURST
    assert throttle.fail("192.0.2.1") == EVERY_SECONDS
    assert throttle.fail("192.0.2.2") is None
    clock.seconds += EVERY_SECONDS
    assert throttle.fail("192.0.2.1") is None
    assert throttle.fail("192.0.2.1") == EVERY_SECONDS
    clock.seconds += BURST * EVERY_SECONDS * 10
    assert [throttle.fail("192.0.2.1") for _ in range(BURST + 1)] == [None] * BURST + [EVERY_SECONDS]


def test_an_ipv6_client_is_its_network_and_a_mapped_address_is_itself() -> None:
    throttle = Throttle(Clock())
    for number in range(BURST):
        assert throttle.fail(f"2001:db8::{number}") is None
    assert throttle.fail("2001:db8::ffff:1") is not None
    assert throttle.fail("2001:db8:0:1::1") is None
    for _ in range(BURST):
        throttle.fail("::ffff:192.0.2.7")
    assert throttle.fail("192.0.2.7") is not None


def test_the_memory_of_failures_is_bounded() -> None:
    throttle = Throttle(Clock())
    for number in range(MOST_ADDRESSES + 50):
        throttle.fail(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(throttle) == MOST_ADDRESSES
