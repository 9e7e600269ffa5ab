"""The main job: a primary that dies is left for its fallback, and comes back to serve."""

import json
from typing import Any

from monitor.storage.address import Address
from tests.daemon import running_daemon
from tests.fault_server import FaultServer


async def add_server(connection: Any, name: str, url: str, **columns: object) -> int:
    """A row as an application inserts it."""
    names = ["name", "server_type", "base_url", *columns]
    places = ", ".join(f"${number}" for number in range(1, len(names) + 1))
    values = [json.dumps(value) if isinstance(value, dict) else value for value in columns.values()]
    row_id: int = await connection.fetchval(
        f"INSERT INTO ai_servers ({', '.join(names)}) VALUES ({places}) RETURNING id",
        name,
        "openai-compatible",
        url,
        *values,
    )
    return row_id


async def set_active(connection: Any, purpose: str, active: int, fallback: int | None) -> None:
    await connection.execute(
        "INSERT INTO active_providers "
        "(purpose, provider_type, provider_id, fallback_provider_type, fallback_provider_id) "
        "VALUES ($1, 'ai_server', $2, $3, $4)",
        purpose,
        active,
        "ai_server" if fallback else None,
        fallback,
    )


async def serving(connection: Any, purpose: str = "chat") -> int:
    row_id: int = await connection.fetchval(
        "SELECT provider_id FROM active_providers WHERE purpose = $1", purpose
    )
    return row_id


async def test_a_dead_primary_is_left_and_returned_to_with_its_evidence(
    database: Address, connection: Any
) -> None:
    async with FaultServer() as primary, FaultServer() as fallback:
        one = await add_server(connection, "primary", primary.url, model_path="m1")
        two = await add_server(connection, "fallback", fallback.url, model_path="m1")
        await set_active(connection, "chat", one, two)
        async with running_daemon({"DATABASE_URL": database.describe()}) as daemon:
            await daemon.ready()
            await daemon.event("health_changed", target=f"ai_server:{one}/chat", after="up")
            await daemon.event("health_changed", target=f"ai_server:{two}/chat", after="up")

            primary.play("500")
            moved = await daemon.event("active_provider_changed", rule="fail_over")
            assert await serving(connection) == two
            assert moved["generation"] == 2

            primary.play(None)
            await daemon.event("active_provider_changed", seconds=30, rule="fail_back")
            assert await serving(connection) == one

            transitions = await connection.fetch("SELECT * FROM monitor.transitions ORDER BY generation")
            assert [(row["rule"], row["generation"]) for row in transitions] == [
                ("fail_over", 2),
                ("fail_back", 3),
            ]
            assert len(transitions[0]["evidence"]) >= 4
            audit = await connection.fetch("SELECT action, user_id FROM llm_config_audit ORDER BY id")
            assert [tuple(row) for row in audit] == [("promote", "monitor"), ("failback", "monitor")]
            assert await daemon.metric('llm_monitor_transitions_total{purpose="chat",rule="fail_over"}') == 1
            assert await daemon.metric('llm_monitor_active_generation{purpose="chat"}') == 3
            assert await daemon.stop() == 0
