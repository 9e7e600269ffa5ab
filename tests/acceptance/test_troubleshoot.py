"""docs/troubleshoot.md shows what the commands really say, in each of its cases."""

import re
from collections import defaultdict

from monitor.keyring import Keyring, generate
from monitor.storage.address import Address
from tests.application_rows import ApplicationRows
from tests.command_line import environment, llm_monitor
from tests.daemon import QUICK_POLICY, ROOT, RunningDaemon, running_daemon
from tests.fault_server import FaultServer

PAGE = ROOT / "docs" / "troubleshoot.md"


def shown() -> list[tuple[str, list[str]]]:
    """Each command of the page with the lines that follow it there."""
    found: list[tuple[str, list[str]]] = []
    page = PAGE.read_text(encoding="utf-8")
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE):
        if language != "console":
            continue
        for line in block.splitlines():
            if line.startswith("$ llm-monitor "):
                found.append((line.removeprefix("$ llm-monitor "), []))
            else:
                found[-1][1].append(line)
    return found


def bare(line: str) -> str:
    """A line without what is another one each time: instants, spans, hosts."""
    line = re.sub(r"\(\S+@\S+?([:)])", r"(somebody\1", line)
    line = re.sub(r"(since|\[)\s?(\d+ \w+ ?)+([\])])", r"\1 a while\3", line)
    return " ".join(re.sub(r"\d\d\d\d-\d\d-\d\d|\d\d:\d\d:\d\d", "then", line).split())


class Walk:
    """Types commands and keeps what they said."""

    def __init__(self, database: Address) -> None:
        self.database = database
        self.said: dict[str, set[str]] = defaultdict(set)

    async def type(self, command: str, code: int, **variables: str) -> None:
        answer = await llm_monitor(*command.split(), env=environment(self.database, **variables))
        assert answer.code == code, (command, answer)
        self.said[command] |= {bare(line) for line in (answer.out + answer.err).splitlines()}


async def test_every_case_of_the_page_looks_as_it_says(database: Address, connection: object) -> None:
    rows, walk = ApplicationRows(connection), Walk(database)
    ours, others = generate(), generate()
    await walk.type("verify chat", 1)
    await rows.add_key("openai", Keyring(others).seal("a-key-of-nobody").text, key_name="old")
    await walk.type("run", 2, MONITOR_PORT="0")
    await walk.type("run", 2, MONITOR_PORT="0", BYOK_ENCRYPTION_KEY=ours)
    await rows.add_key("groq", Keyring(ours).seal("a-key-of-nobody").text)
    async with FaultServer() as one, FaultServer() as two:
        await rows.add_server("gpu-1", "vllm", one.url, model_path="m1", use_for_chat=True)
        await rows.add_server("gpu-2", "vllm", two.url, model_path="m1", use_for_chat=True)
        await rows.set_active("chat", "ai_server:1", "ai_server:2")
        env = {"DATABASE_URL": database.describe(), "BYOK_ENCRYPTION_KEY": ours}
        async with running_daemon(env) as daemon:
            for target in ("ai_server:1/chat", "ai_server:2/chat"):
                await daemon.event("health_changed", after="up", target=target)
            await walk_the_failover(walk, rows, daemon, one, ours)
    cases = shown()
    assert walk.said.keys() - {command for command, _ in cases} == {"pause chat"}, "all but that is shown"
    for command, lines in cases:
        for line in lines:
            assert bare(line) in walk.said[command], (command, line, sorted(walk.said[command]))


async def walk_the_failover(
    walk: Walk, rows: ApplicationRows, daemon: RunningDaemon, primary: FaultServer, key: str
) -> None:
    await walk.type("status", 0, BYOK_ENCRYPTION_KEY=key)
    await walk.type("probe api_key:1 --purpose chat", 1, BYOK_ENCRYPTION_KEY=key)
    await walk.type("pause chat", 0)
    primary.play("reset")
    await daemon.event("health_changed", after="down", target="ai_server:1/chat")
    await walk.type("probe ai_server:1", 1, BYOK_ENCRYPTION_KEY=key)
    await walk.type("explain chat", 0)
    await walk.type("resume chat", 0)

    async def moved() -> bool:
        return await rows.serving() == "ai_server:2"

    await daemon.until(moved, "a move onto gpu-2")
    await walk.type("history chat --no-chart", 0)
    # By the daemon's policy: under the default one it might not have moved yet.
    policy = {f"MONITOR_POLICY_{name}": value for name, value in QUICK_POLICY.items()}
    await walk.type("replay chat --since 1h", 0, **policy)
