"""`llm-monitor status` and `migrate` over a real database."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from monitor.domain.application_status import ApplicationStatus
from monitor.domain.health import Health, expect
from monitor.domain.observe import observe
from monitor.domain.outcome import Outcome, ProbeResult
from monitor.domain.policy import Policy
from monitor.domain.preference import Pointers, read_edit
from monitor.domain.provider import ProviderRef, Purpose
from monitor.domain.target import ModelName, ProbeKind, TargetId
from monitor.probing.result_id import new_result_id
from monitor.storage.address import Address
from monitor.storage.daemons import DaemonRow, beat
from monitor.storage.edits import adopt_edit
from monitor.storage.healths import StoredHealth, save_healths
from monitor.storage.problems import replace_problems
from monitor.storage.purposes import mark_stranded
from monitor.storage.results import insert_results
from tests.application_rows import ApplicationRows
from tests.command_line import environment, llm_monitor
from tests.targets import PLANTED_KEY

INSTANCE = UUID(int=7)
DAEMON = DaemonRow(
    instance=INSTANCE,
    host="somewhere",
    pid=42,
    version="0.1.0",
    role="active",
    listen="http://127.0.0.1:9780",
    started_at=datetime.fromisoformat("2026-01-01T00:00:00+00:00"),
)


async def believe(connection: Any, provider: str, outcome: Outcome, status: ApplicationStatus) -> None:
    """One deep result of a provider, and the belief that it makes."""
    now: datetime = await connection.fetchval("SELECT clock_timestamp()")
    target = TargetId(provider=ProviderRef.parse(provider), purpose=Purpose.CHAT)
    result = ProbeResult(
        id=new_result_id(int(now.timestamp() * 1000)),
        target=target,
        fingerprint="f",
        kind=ProbeKind.DEEP,
        outcome=outcome,
        started_at=now - timedelta(seconds=5),
        ended_at=now - timedelta(seconds=4),
        latency_seconds=0.25,
        ttft_seconds=0.125,
        model=ModelName("m1"),
        detail="" if outcome is Outcome.OK else "HTTP 500: server error",
    )
    policy = Policy()
    health = expect(observe(Health(fingerprint="f"), result, policy), timedelta(seconds=30), policy)
    await insert_results(connection, [result])
    await save_healths(
        connection,
        [
            StoredHealth(
                target=target,
                health=health,
                eligible=outcome is Outcome.OK,
                warnings=(),
                block=None,
                status=status,
                last_outcome=outcome,
            )
        ],
    )


async def adopt(connection: Any, active: str, fallback: str) -> None:
    """Take note of the chat row as the daemon does."""
    row = Pointers(active=ProviderRef.parse(active), fallback=ProviderRef.parse(fallback))
    edit = read_edit(None, row, ())
    assert edit is not None
    now = await connection.fetchval("SELECT clock_timestamp()")
    assert await adopt_edit(connection, Purpose.CHAT, row, edit, None, {}, now, str(INSTANCE))


async def test_an_empty_installation_says_what_to_do_next(database: Address, connection: Any) -> None:
    answer = await llm_monitor("status", env=environment(database))
    assert answer.code == 1
    assert "no daemon runs: start llm-monitor run" in answer.out
    assert "llm-monitor run --adopt-env" in answer.out
    await beat(connection, DAEMON)
    assert (await llm_monitor("status", env=environment(database))).code == 0


async def test_status_tells_who_serves_and_how_everybody_is(database: Address, connection: Any) -> None:
    rows = ApplicationRows(connection)
    one = await rows.add_server("main gpu", "vllm", "http://127.0.0.1:1", api_key=PLANTED_KEY)
    two = await rows.add_key("openai", PLANTED_KEY)
    off = await rows.add_server("old gpu", "vllm", "http://127.0.0.1:2", enabled=False)
    await rows.set_active("chat", one, two)
    await beat(connection, DAEMON)
    await adopt(connection, one, two)
    await believe(connection, one, Outcome.OK, ApplicationStatus.HEALTHY)
    await believe(connection, two, Outcome.SERVER_ERROR, ApplicationStatus.DOWN)
    await replace_problems(connection, {"ai_server:9": "ai_server:9 (x): base_url is empty"})
    env = environment(database)
    answer, page = await asyncio.gather(
        llm_monitor("status", "--json", env=env), llm_monitor("status", env=env)
    )
    assert answer.code == page.code == 0
    told = answer.json
    assert (told["status"], told["bad_news"]) == ("ok", [])
    assert told["database"] == database.describe()
    [daemon] = told["daemons"]
    assert (daemon["role"], daemon["alive"], daemon["pid"]) == ("active", True, 42)
    [chat] = told["purposes"]
    assert chat["active"] == {"provider": one, "name": "main gpu"}
    assert chat["fallback"] == {"provider": two, "name": "openai/main"}
    assert (chat["health"], chat["rule"], chat["generation"], chat["seen"]) == ("healthy", "adopted", 1, True)
    providers = {each["provider"]: each for each in told["providers"]}
    [target] = providers[one]["targets"]
    assert (target["status"], target["last_outcome"], target["latency_seconds"], target["ttft_seconds"]) == (
        "healthy",
        "ok",
        0.25,
        0.125,
    )
    assert providers[two]["targets"][0]["detail"] == "HTTP 500: server error"
    assert (providers[off]["enabled"], providers[off]["targets"]) == (False, [])
    assert [each["message"] for each in told["problems"]] == ["ai_server:9 (x): base_url is empty"]
    for words in ("Every purpose is served.", "main gpu", "disabled", "base_url", "0.250 s"):
        assert words in page.out
    assert re.search(r"\bok, \d+ s ago", page.out)


async def test_a_purpose_that_is_down_or_stranded_is_exit_1(database: Address, connection: Any) -> None:
    rows = ApplicationRows(connection)
    one = await rows.add_server("a", "vllm", "http://127.0.0.1:1")
    two = await rows.add_server("b", "vllm", "http://127.0.0.1:2")
    await rows.set_active("chat", one, two)
    await beat(connection, DAEMON)
    await adopt(connection, one, two)
    await believe(connection, one, Outcome.SERVER_ERROR, ApplicationStatus.DOWN)
    down = await llm_monitor("status", "--json", env=environment(database))
    assert down.code == 1
    assert down.json["purposes"][0]["health"] == "down"
    await mark_stranded(connection, Purpose.CHAT, datetime.fromisoformat("2026-01-01T00:00:00+00:00"), 0)
    stranded = await llm_monitor("status", env=environment(database))
    assert stranded.code == 1
    assert "BAD NEWS: chat is stranded" in stranded.out


async def test_a_daemon_that_fell_silent_is_bad_news(database: Address, connection: Any) -> None:
    await beat(connection, DAEMON)
    await connection.execute("UPDATE monitor.daemons SET heartbeat_at = heartbeat_at - interval '2 minutes'")
    answer = await llm_monitor("status", env=environment(database))
    assert answer.code == 1
    assert "BAD NEWS: no daemon has been seen for 12" in answer.out


async def test_an_edit_that_no_daemon_has_seen_is_told_so(database: Address, connection: Any) -> None:
    rows = ApplicationRows(connection)
    one = await rows.add_server("a", "vllm", "http://127.0.0.1:1")
    two = await rows.add_server("b", "vllm", "http://127.0.0.1:2")
    await rows.set_active("chat", one, two)
    await adopt(connection, one, two)
    await rows.set_active("chat", two, one)
    [chat] = (await llm_monitor("status", "--json", env=environment(database))).json["purposes"]
    assert (chat["active"]["provider"], chat["seen"], chat["rule"], chat["since"]) == (two, False, None, None)


async def test_a_database_never_migrated_is_told_so_and_migrate_mends_it(empty_database: Address) -> None:
    env = environment(empty_database)
    assert "run llm-monitor migrate" in (await llm_monitor("status", env=env)).refused()
    check = await llm_monitor("migrate", "--check", env=env)
    assert check.code == 1
    assert "pending: 0001_application_tables" in check.out
    pending = await llm_monitor("migrate", "--check", "--json", env=env)
    assert (pending.code, pending.json["pending"][0]) == (1, "0001_application_tables")
    first = await llm_monitor("migrate", env=env)
    assert first.code == 0
    assert "applied: 0001_application_tables" in first.out
    assert (await llm_monitor("migrate", env=env)).out == "nothing to apply\n"
    assert (await llm_monitor("migrate", "--json", env=env)).json == {"applied": []}
    assert (await llm_monitor("migrate", "--check", env=env)).code == 0
    assert (await llm_monitor("status", env=env)).code == 1


async def test_a_newer_database_is_lived_with_or_refused_as_it_says(
    database: Address, connection: Any
) -> None:
    env = environment(database)
    await connection.execute(
        "INSERT INTO monitor.migrations (number, name, checksum) VALUES (999, '0999_later', 'x')"
    )
    check = await llm_monitor("migrate", "--check", env=env)
    newer = "the database is newer than this program, which can live with it: 0999_later"
    assert (check.code, check.out) == (0, f"nothing is pending\n{newer}\n")
    told = await llm_monitor("migrate", "--check", "--json", env=env)
    assert told.json == {"pending": [], "newer": ["0999_later"]}
    assert (await llm_monitor("migrate", env=env)).code == 0
    await connection.execute("UPDATE monitor.migrations SET oldest = 999 WHERE number = 999")
    for arguments in (("migrate", "--check"), ("migrate",)):
        assert "install the newer release" in (await llm_monitor(*arguments, env=env)).refused()


async def test_a_role_without_rights_is_told_so(database: Address, connection: Any) -> None:
    role = f"poor_{database.database}"
    await connection.execute(f"CREATE ROLE {role} LOGIN")
    try:
        answer = await llm_monitor("status", env=environment(replace(database, user=role)))
        assert "this role may not do that" in answer.refused()
    finally:
        await connection.execute(f"DROP ROLE {role}")


@pytest.mark.parametrize("variables", [{"POSTGRES_HOST": "host"}, {"DATABASE_URL": "url"}])
async def test_both_ways_to_name_a_database_lead_there(
    database: Address, variables: Mapping[str, str]
) -> None:
    if "DATABASE_URL" in variables:
        env = environment(
            DATABASE_URL=f"postgresql+asyncpg://monitor@/{database.database}?host={database.host}"
        )
    else:
        parts = {"HOST": database.host, "DB": database.database, "USER": database.user}
        env = environment() | {f"POSTGRES_{name}": str(value) for name, value in parts.items()}
    answer = await llm_monitor("status", "--json", env=env)
    assert answer.json["database"] == database.describe()


async def test_status_finds_the_database_that_a_daemon_runs_in_its_folder(database: Address) -> None:
    """The tests' own server is such a one; its database `monitor` was never migrated."""
    assert database.host is not None
    answer = await llm_monitor("status", "--data-dir", database.host.removesuffix("/socket"))
    assert f"postgresql://monitor@/monitor?host={database.host} is not migrated" in answer.refused()
