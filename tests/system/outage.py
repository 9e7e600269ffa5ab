"""A daemon, a standby, their database and their providers, and what befalls them while Prometheus watches."""

import asyncio
import secrets
import signal
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from monitor.domain.access import TokenRole
from monitor.keyring import Keyring, generate
from monitor.storage.migrations import migrate
from monitor.storage.tokens import create_token
from tests.acceptance.test_database_faults import OwnPostgres
from tests.application_rows import ApplicationRows
from tests.certificates import make_certificate
from tests.daemon import QUICK_POLICY, RunningDaemon, free_port, running_daemon
from tests.fault_server import FaultServer
from tests.system.prometheus import Prometheus, configuration, running_prometheus
from tests.system.quick_rules import quick_rules

DIVISOR = 100
LATE_SECONDS = "0.05"
SCRAPE_SECONDS = 0.5
POLICY = QUICK_POLICY | {
    "HOLD": "1",
    # One who has recovered is fit at once, however much it failed before.
    "WINDOW_FAILURES": "20",
    "LIGHT_INTERVAL": "2",
    "LIGHT_INTERVAL_LOCAL": "2",
    # The providers answer between two queries of whoever looks at everything.
    "CONNECT_TIMEOUT": "4",
}
SERVERS = ("gpu-1", "gpu-2", "refused", "spent", "gone", "slow", "shaky", "mute")
ODD = "odd"
"""Comes later, and has never taken a probe for what it is."""
HOSTED = "deepseek/hosted"
MODEL = "deepseek-v4-flash"
EMBEDDER = "embedder"
PLENTY_USD, SPENT_USD = 40.0, 0.4


@dataclass
class Outage:
    """All of it; `ids` has every provider's reference by its name."""

    postgres: OwnPostgres
    prometheus: Prometheus
    servers: dict[str, FaultServer]
    ports: tuple[int, int]
    env: dict[str, str]
    stack: AsyncExitStack
    ids: dict[str, str] = field(default_factory=dict)
    token: str = ""
    daemons: list[RunningDaemon] = field(default_factory=list)

    @property
    def leader(self) -> RunningDaemon:
        return self.daemons[0]

    async def start_daemon(self) -> RunningDaemon:
        """The next one, with a folder of its own."""
        port = self.ports[len(self.daemons)]
        daemon = await self.stack.enter_async_context(running_daemon(self.env, policy=POLICY, port=port))
        self.daemons.append(daemon)
        return daemon

    async def all_up(self) -> None:
        for name, id_ in self.ids.items():
            purpose = "embeddings" if name == EMBEDDER else "chat"
            await self.leader.event("health_changed", target=f"{id_}/{purpose}", after="up")

    async def act(self, path: str, **body: object) -> None:
        """An administrator's act by the HTTP API, below `/api/v1/monitor`."""
        headers = {"Authorization": f"Bearer {self.token}"}
        async with (
            aiohttp.ClientSession(self.leader.url, headers=headers) as session,
            session.post(f"/api/v1/monitor/{path}", json=body) as answer,
        ):
            assert answer.status in {200, 202}, await answer.text()

    async def report_failures(self, name: str, count: int) -> None:
        """What an application tells of its requests."""
        one = {"provider": self.ids[name], "purpose": "chat", "outcome": "timeout"}
        await self.act("reports", reports=[one] * count)

    async def moved(self, times: int, to: str) -> Counter[str]:
        """Wait for the so-and-so-many-eth move, which leads to somebody; all moves so far by rule."""
        told = "active_provider_changed"
        await self.leader.until(lambda: len(self.leader.events(told)) >= times, f"move {times}")
        moves = self.leader.events(told)
        assert len(moves) == times, moves
        assert moves[-1]["to"].startswith(f"{self.ids[to]} "), moves
        assert await self.serving() == self.ids[to]
        return Counter(line["rule"] for line in moves)

    async def serving(self) -> str:
        async with self.postgres.connection() as connection:
            return await ApplicationRows(connection).serving()

    async def add_server(self, name: str) -> None:
        """One more row."""
        async with self.postgres.connection() as connection:
            await _add_server(connection, self, name)

    async def execute(self, statement: str) -> None:
        async with self.postgres.connection() as connection:
            await connection.execute(statement)

    async def refuse_results(self, name: str) -> None:
        """From now on the database takes no result of a provider."""
        await self.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '22000'; END $$"
        )
        id_ = self.ids[name].partition(":")[2]
        await self.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON monitor.results FOR EACH ROW"
            f" WHEN (NEW.provider_type = 'ai_server' AND NEW.provider_id = {id_}) EXECUTE FUNCTION refuse()"
        )

    async def take_results(self) -> None:
        """It takes them again."""
        await self.execute("DROP FUNCTION refuse() CASCADE")

    async def stall(self, seconds: float) -> None:
        """Keep the leader from running, as a machine does that is short of CPU."""
        self.leader.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        self.leader.process.send_signal(signal.SIGCONT)

    async def stumble(self, name: str, times: int) -> None:
        """Let single probes of a provider fail, with passes between them."""
        server = self.servers[name]
        for _ in range(times):
            await self._probed(server, "500", 1)
            await self._probed(server, None, 2)

    async def spend(self) -> None:
        """Let the credit of the hosted one dwindle."""
        while True:
            await asyncio.sleep(0.5)
            server = self.servers[HOSTED]
            server.balance_usd = max(server.balance_usd - 0.5, SPENT_USD)

    async def _probed(self, server: FaultServer, fault: str | None, count: int) -> None:
        server.play(fault)
        before = len(server.deep_requests)
        await self.leader.until(
            lambda: len(server.deep_requests) >= before + count, f"{count} probes in {fault}"
        )


@asynccontextmanager
async def outage(folder: Path, tmp_path: Path) -> AsyncIterator[Outage]:
    """Everything but the daemons runs; the database has its rows and is away again.

    Args:
        folder: that PostgreSQL's account may pass through.
        tmp_path: for the rest.
    """
    rules = await asyncio.to_thread(quick_rules, tmp_path, DIVISOR, late=LATE_SECONDS)
    certificate, key = await asyncio.to_thread(make_certificate, tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    secret = generate()
    async with AsyncExitStack() as stack:
        servers = {name: await stack.enter_async_context(FaultServer()) for name in (*SERVERS, EMBEDDER, ODD)}
        hosted = FaultServer(tls=context, models=[MODEL], balance_usd=PLENTY_USD)
        servers[HOSTED] = await stack.enter_async_context(hosted)
        servers["mute"].play("hang_headers")
        servers[ODD].play("400_other")
        postgres = OwnPostgres(folder / "postgres")
        stack.push_async_callback(postgres.end)
        await postgres.start()
        ports = (free_port(), free_port())
        config = configuration(
            [f"127.0.0.1:{port}" for port in ports], rules=rules, interval_seconds=SCRAPE_SECONDS
        )
        env = {
            "DATABASE_URL": postgres.address.describe(),
            "BYOK_ENCRYPTION_KEY": secret,
            "SSL_CERT_FILE": str(certificate),
        }
        prometheus = await stack.enter_async_context(running_prometheus(config, tmp_path))
        found = Outage(postgres, prometheus, servers, ports, env, stack)
        async with postgres.connection() as connection:
            await _prepare(connection, found, secret)
        await postgres.kill()
        yield found


async def _prepare(connection: Any, found: Outage, secret: str) -> None:
    # This data need not outlive a power cut.
    await connection.execute("ALTER SYSTEM SET fsync = off")
    await migrate(connection)
    rows = ApplicationRows(connection)
    for name in SERVERS:
        await _add_server(connection, found, name)
    found.ids[EMBEDDER] = await rows.add_server(
        EMBEDDER, "openai-compatible", found.servers[EMBEDDER].url, model_path="m1", use_for_embeddings=True
    )
    sealed = Keyring(secret).seal(f"sk-{secrets.token_hex(24)}").text
    place = {"base_url": found.servers[HOSTED].url, "model": MODEL}
    found.ids[HOSTED] = await rows.add_key("deepseek", sealed, key_name="hosted", metadata=place)
    await rows.set_active("chat", found.ids["gpu-1"], found.ids["gpu-2"])
    await rows.set_active("embeddings", found.ids[EMBEDDER])
    # A key is probed for the purposes whose order names it.
    await connection.executemany(
        "INSERT INTO monitor.preferences (purpose, position, provider_type, provider_id)"
        " VALUES ('chat', $1, $2, $3)",
        [
            (place, kind, int(number))
            for place, name in enumerate(("gpu-1", "gpu-2", HOSTED))
            for kind, _, number in (found.ids[name].partition(":"),)
        ],
    )
    made = await create_token(connection, name="t", role=TokenRole.ADMIN, lifetime=None, by="t")
    found.token = made.text


async def _add_server(connection: Any, found: Outage, name: str) -> None:
    found.ids[name] = await ApplicationRows(connection).add_server(
        name, "openai-compatible", found.servers[name].url, model_path="m1", use_for_chat=True
    )
