"""An operator's commands, typed: what they say, what they leave, how they refuse."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from monitor.domain.provider import Purpose
from monitor.storage.address import Address
from monitor.storage.purposes import PurposeState, load_purposes
from tests.application_rows import ApplicationRows
from tests.command_line import Answer, environment, llm_monitor

NO_DAEMON = "llm-monitor: warning: no daemon acts: start llm-monitor run\n"


class Shell:
    """Two servers and a key that may serve chat, and a shell beside their database."""

    def __init__(self, database: Address, connection: Any) -> None:
        self.database = database
        self.connection = connection

    async def begin(self) -> None:
        rows = ApplicationRows(self.connection)
        for name in ("gpu-1", "gpu-2"):
            await rows.add_server(name, "vllm", "http://10.0.0.5:8000", use_for_chat=True)
        await rows.add_key("openrouter", "gAAAA", key_name="main")
        await rows.set_active("chat", "ai_server:1", "ai_server:2")
        for type_, number in (("ai_server", 1), ("ai_server", 2), ("api_key", 1)):
            await self.connection.execute(
                "INSERT INTO monitor.healths (provider_type, provider_id, purpose, fingerprint, state,"
                " eligible, health) VALUES ($1, $2, 'chat', 'f', 'up', true, '{}')",
                type_,
                number,
            )

    async def type(self, *arguments: str) -> Answer:
        return await llm_monitor(*arguments, env=environment(self.database))

    async def state(self) -> PurposeState:
        return (await load_purposes(self.connection))[Purpose.CHAT]


@pytest.fixture
async def shell(database: Address, connection: Any) -> Shell:
    found = Shell(database, connection)
    await found.begin()
    return found


async def test_a_promotion_and_its_end_are_told_in_a_line(shell: Shell) -> None:
    answer = await shell.type("promote", "chat", "gpu-2", "--for", "2h", "--reason", "fan noise")
    assert (answer.code, answer.err) == (0, NO_DAEMON)
    assert answer.out.startswith(
        "chat: ai_server:2 (gpu-2) serves now, in place of ai_server:1 (gpu-1)."
        " The fallback is ai_server:1 (gpu-1). No return by itself until "
    )
    state = await shell.state()
    assert state.held_until is not None
    assert timedelta(hours=1.9) < state.held_until - datetime.now(UTC) < timedelta(hours=2)
    audit = await shell.connection.fetchrow("SELECT * FROM llm_config_audit ORDER BY id DESC LIMIT 1")
    assert audit["action"] == "promote"
    assert "@" in audit["user_id"]
    assert audit["changes"]["reason"] == "fan noise"

    answer = await shell.type("unpin", "chat")
    assert answer.out == "chat: ai_server:2 (gpu-2) serves, and the rules decide again.\n"
    answer = await shell.type("unpin", "chat")
    assert answer.code == 0
    assert "Nothing has changed" in answer.out


async def test_json_says_the_same_under_names_that_stay(shell: Shell) -> None:
    answer = await shell.type("pin", "chat", "main", "--until", "2999-01-01T00:00", "--json")
    assert answer.code == 0
    assert answer.json == {
        "purpose": "chat",
        "act": "pin",
        "changed": True,
        "active": "api_key:1",
        "name": "openrouter/main",
        "left": "ai_server:1",
        "fallback": "ai_server:1",
        "generation": 2,
        "until": "2999-01-01T00:00:00+00:00",
    }


async def test_one_that_is_not_fit_is_bad_news_and_force_is_named(shell: Shell) -> None:
    await shell.connection.execute("UPDATE monitor.healths SET state = 'down' WHERE provider_id = 2")
    answer = await shell.type("promote", "chat", "ai_server:2")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == (
        "llm-monitor: ai_server:2 (gpu-2) is down: mend it first, or promote it all the same with --force "
        '("force": true)\n'
    )
    assert (await shell.type("promote", "chat", "ai_server:2", "--force")).code == 0


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("promote chat nobody", "no provider is called 'nobody': known are ai_server:1 (gpu-1)"),
        ("promote chat ai_server:9", "ai_server:9: there is no such row"),
        ("promote lunch gpu-1", "'lunch' is no purpose"),
        ("promote reranking gpu-1", "No active provider for reranking"),
        ("promote chat gpu-2 --for 2h --until 2999-01-01", "leave one out"),
        ("promote chat gpu-2 --for soon", "--for soon is no duration"),
        ("pin chat gpu-2 --until yesterday", "--until yesterday: write an instant"),
        ("pin chat gpu-2 --until 2001-01-01", "2001-01-01 00:00:00 UTC has passed"),
        ("candidates chat gpu-1 gpu-1", "somebody is named twice"),
        ("maintenance gpu-1 --end --for 1h", "leave --from, --for and --until out"),
        ("maintenance gpu-1 --from 2999-01-02 --until 2999-01-01", "before the beginning"),
    ],
)
async def test_what_can_not_be_is_refused_in_one_line_with_the_mend(
    shell: Shell, line: str, says: str
) -> None:
    assert says in (await shell.type(*line.split())).refused()


async def test_a_pause_an_order_and_a_maintenance_are_told_in_a_line(shell: Shell) -> None:
    assert (await shell.type("pause", "chat")).out == (
        "chat: paused: ai_server:1 (gpu-1) serves, and nothing moves before llm-monitor resume.\n"
    )
    assert (await shell.type("resume", "chat")).out == (
        "chat: resumed: ai_server:1 (gpu-1) serves, and the rules decide again.\n"
    )
    assert (await shell.type("candidates", "chat", "main", "gpu-1")).out == (
        "chat: ai_server:1 (gpu-1) serves; the order is api_key:1 (openrouter/main), ai_server:1 (gpu-1).\n"
    )
    assert (await shell.type("maintenance", "main")).out == (
        "api_key:1 (openrouter/main): in maintenance until llm-monitor maintenance --end."
        " It is named by chat.\n"
    )
    answer = await shell.type("maintenance", "main", "--end", "--json")
    assert (answer.json["changed"], answer.json["in_maintenance"]) == (True, False)
    planned = await shell.type("maintenance", "gpu-2", "--from", "2999-01-01", "--for", "1h")
    assert planned.out == (
        "ai_server:2 (gpu-2): in maintenance from 2999-01-01 00:00:00 UTC on,"
        " until 2999-01-01 01:00:00 UTC.\n"
    )
    assert (await shell.type("maintenance", "gpu-2", "--end")).out == "ai_server:2 (gpu-2): called off.\n"


async def test_a_name_of_several_is_no_name(shell: Shell) -> None:
    await ApplicationRows(shell.connection).add_key("groq", "gAAAA", key_name="main")
    said = (await shell.type("promote", "chat", "main")).refused()
    assert "'main' is the name of several: write one of api_key:1" in said
    assert (await shell.type("promote", "chat", "openrouter")).code == 0
