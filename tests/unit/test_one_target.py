"""One row of the application as a target, and what it is probed for when nobody says."""

from dataclasses import replace

import pytest

from monitor.domain.metadata import RowProblem
from monitor.domain.one_target import Row, find_row, purpose_of, purposes_of, read_target
from monitor.domain.provider import ProviderRef, Purpose
from monitor.domain.rows import ConfigurationRows, PreferenceRow
from monitor.domain.target import ProviderType
from tests.unit.build import CATALOG, KEY_ROW, SERVER_ROW, active_row, api_key, rows, server

CHAT, EMBEDDINGS = Purpose.CHAT, Purpose.EMBEDDINGS
IDLE = replace(SERVER_ROW, purposes=frozenset())


def preferred(purpose: str, ref: ProviderRef) -> PreferenceRow:
    return PreferenceRow(purpose=purpose, position=1, provider_type=ref.type, provider_id=ref.id)


def test_a_row_is_found_by_its_table_and_its_id() -> None:
    given = rows(SERVER_ROW, replace(SERVER_ROW, id=2), KEY_ROW)
    assert find_row(given, server(2)) == replace(SERVER_ROW, id=2)
    assert find_row(given, api_key(1)) == KEY_ROW
    assert find_row(given, api_key(2)) is None


@pytest.mark.parametrize("row", [SERVER_ROW, KEY_ROW])
@pytest.mark.parametrize("purpose", [CHAT, EMBEDDINGS])
def test_a_row_is_read_for_any_purpose_whether_or_not_it_is_enabled_or_wanted(
    row: Row, purpose: Purpose
) -> None:
    row = replace(row, enabled=False, metadata={"model": "m"})
    target = read_target(row, purpose, CATALOG)
    assert (target.id.provider, target.id.purpose, target.model) == (row.ref, purpose, "m")


def test_a_row_is_read_for_no_purpose_at_all() -> None:
    for row in (SERVER_ROW, KEY_ROW):
        assert read_target(row, None, CATALOG).id.purpose is None


@pytest.mark.parametrize("purpose", [CHAT, None])
def test_a_row_that_cannot_be_used_says_why(purpose: Purpose | None) -> None:
    with pytest.raises(RowProblem, match="base_url"):
        read_target(replace(SERVER_ROW, base_url=None), purpose, CATALOG)
    with pytest.raises(RowProblem, match="nobody"):
        read_target(replace(KEY_ROW, provider="nobody"), purpose, CATALOG)


def test_a_metadata_services_address_is_read_only_where_it_is_allowed() -> None:
    row = replace(SERVER_ROW, base_url="http://169.254.169.254:8000")
    with pytest.raises(RowProblem, match="metadata service"):
        read_target(row, CHAT, CATALOG)
    assert read_target(row, CHAT, CATALOG, allow_metadata_addresses=True).base_url == row.base_url


@pytest.mark.parametrize(
    "given",
    [
        rows(actives=(active_row("embeddings", server(1)),)),
        rows(actives=(active_row("embeddings", server(2), server(1)),)),
        rows(preferences=(preferred("embeddings", server(1)),)),
    ],
)
def test_a_row_is_used_for_what_names_it(given: ConfigurationRows) -> None:
    """As the one that serves, as its fallback, or in the order of an operator."""
    assert purposes_of(given, IDLE) == {EMBEDDINGS}
    assert purposes_of(given, SERVER_ROW) == {CHAT, EMBEDDINGS}
    assert purpose_of(given, IDLE, CATALOG) is EMBEDDINGS
    assert purposes_of(given, replace(IDLE, id=3)) == frozenset()
    assert purposes_of(given, KEY_ROW) == frozenset()


def test_a_purpose_that_is_not_known_is_no_use() -> None:
    given = rows(actives=(active_row("dreams", server(1)),), preferences=(preferred("dreams", server(1)),))
    assert purposes_of(given, IDLE) == frozenset()


def test_a_row_that_serves_several_purposes_is_probed_for_the_first() -> None:
    several = replace(SERVER_ROW, purposes=frozenset({EMBEDDINGS, CHAT}))
    assert purpose_of(rows(), several, CATALOG) is CHAT


def test_a_row_that_nobody_uses_is_probed_for_the_first_that_it_could_serve() -> None:
    assert purpose_of(rows(), IDLE, CATALOG) is CHAT
    assert purpose_of(rows(), KEY_ROW, CATALOG) is CHAT
    entry = CATALOG.entries[ProviderType.AI_SERVER, "vllm"]
    last = replace(entry, litellm_providers={EMBEDDINGS: "x"})
    only = replace(CATALOG, entries={(ProviderType.AI_SERVER, "vllm"): last})
    assert purpose_of(rows(), IDLE, only) is EMBEDDINGS


@pytest.mark.parametrize("row", [replace(IDLE, server_type=None), replace(KEY_ROW, provider="nobody")])
def test_a_row_of_no_known_kind_is_probed_for_nothing(row: Row) -> None:
    assert purpose_of(rows(), row, CATALOG) is None
