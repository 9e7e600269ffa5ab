"""The guarded routes of a real daemon: who is let in, over which way, and what a first start leaves."""

import asyncio
import re
import ssl
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from monitor.domain.access import TokenRole
from monitor.storage.address import Address
from monitor.storage.tokens import create_token, revoke_token
from tests.certificates import make_certificate
from tests.command_line import environment, llm_monitor
from tests.daemon import RunningDaemon, free_port, running_daemon
from tests.postgres import open_folder

OPEN_IN_THE_DOCUMENT = {"/api/v1/llm-config/health"}
LOGIN = "/api/v1/monitor/login"
HEARD_SECONDS = 3.0
"""At once, by a notice; without one a token that was good is good for 4 s more."""


def variables(database: Address) -> dict[str, str]:
    return {"DATABASE_URL": database.describe()}


async def ask(
    daemon: RunningDaemon, method: str, path: str, token: str | None = None, **options: Any
) -> tuple[int, Any]:
    headers = dict(options.pop("headers", {}))
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    timeout = aiohttp.ClientTimeout(total=20)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.request(method, daemon.url + path, headers=headers, **options) as answer,
    ):
        if answer.content_type == "text/event-stream":
            return answer.status, None
        return answer.status, await answer.json() if answer.content_type == "application/json" else None


async def make(connection: Any, role: TokenRole, lifetime: timedelta | None = None) -> tuple[int, str]:
    made = await create_token(connection, name=f"the {role}", role=role, lifetime=lifetime, by="test")
    return made.id, made.text


def filled(path: str) -> str:
    """A path with something in each of its places."""
    values = {"purpose": "chat", "type": "ai_server", "provider_type": "ai_server"}
    return re.sub(r"\{(\w+)\}", lambda place: values.get(place[1], "1"), path)


def wanted_role(method: str, path: str) -> TokenRole:
    """What the contract says, told in the test's own words."""
    if method == "get" or path.endswith("/logout"):
        return TokenRole.VIEWER
    return TokenRole.REPORTER if path.endswith("/reports") else TokenRole.ADMIN


async def test_every_guarded_endpoint_refuses_whoever_may_not(database: Address, connection: Any) -> None:
    tokens = {role: await make(connection, role) for role in TokenRole}
    revoked_id, revoked = await make(connection, TokenRole.ADMIN)
    _, expired = await make(connection, TokenRole.ADMIN, timedelta(microseconds=1))
    await revoke_token(connection, revoked_id, "test")
    admin = tokens[TokenRole.ADMIN][1]
    async with running_daemon(variables(database)) as daemon:
        await daemon.ready()
        _, document = await ask(daemon, "GET", "/api/v1/openapi.json", admin)
        async with (
            aiohttp.ClientSession() as session,
            session.post(daemon.url + LOGIN, json={"token": admin}) as answer,
        ):
            cookie = {"llm_monitor": answer.cookies["llm_monitor"].value}
        met = 0
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                where = f"{method} {path}"
                if path in OPEN_IN_THE_DOCUMENT or path == LOGIN:
                    assert "security" not in operation, where
                    continue
                met += 1
                assert operation["security"] == [{"bearer": []}, {"cookie": []}], where
                role, url = wanted_role(method, path), filled(path)
                assert operation["x-role"] == role, where
                for token in (None, expired, revoked):
                    assert (await ask(daemon, method, url, token))[0] in (401, 429), where
                forged = {"llm_monitor": cookie["llm_monitor"][:-8] + "AAAAAAA="}
                assert (await ask(daemon, method, url, cookies=forged))[0] == 401, where
                for smaller in TokenRole:
                    if not smaller.includes(role):
                        assert (await ask(daemon, method, url, tokens[smaller][1]))[0] == 403, where
                if method != "get":
                    assert (await ask(daemon, method, url, cookies=cookie))[0] == 403, where
                if method == "get" and not url.endswith("/models"):
                    assert (await ask(daemon, method, url, tokens[TokenRole.VIEWER][1]))[0] in (200, 404), (
                        where
                    )
                elif method != "get" and not url.endswith("/logout"):
                    # Whoever may is not refused for who he is; what he says is nothing.
                    assert (await ask(daemon, method, url, admin, data=b"{"))[0] not in (401, 403), where
        assert met > 20
        logs = "\n".join(daemon.raw)
    for text in (*(text for _, text in tokens.values()), revoked, expired):
        assert text.split("_", 2)[2] not in logs


async def test_a_first_start_leaves_a_token_for_its_owner_alone() -> None:
    with open_folder() as folder:
        data = folder / "data"
        file = data / "admin-token"
        env = {"MONITOR_DATA_DIR": str(data)}
        async with running_daemon(env) as daemon:
            await daemon.ready()
            said = await daemon.event("first_token_written")
            assert said["file"] == str(file)
            text = file.read_text().strip()
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            assert (await ask(daemon, "GET", "/api/v1/monitor/session", text))[1]["role"] == "admin"
            assert text.split("_", 2)[2] not in "\n".join(daemon.raw)
            listed = await llm_monitor("token", "list", "--json", env=environment(None, **env))
            assert [(one["name"], one["role"]) for one in listed.json] == [("first admin", "admin")]
        async with running_daemon(env) as again:
            await again.ready()
            assert (await ask(again, "GET", "/api/v1/monitor/session", text))[0] == 200
            assert file.read_text().strip() == text
            assert again.events("first_token_written") == []
            await llm_monitor("token", "revoke", "1", env=environment(None, **env))

            async def refused() -> bool:
                return (await ask(again, "GET", "/api/v1/monitor/session", text))[0] == 401

            await again.until(refused, "the revocation", HEARD_SECONDS)
            made = await llm_monitor(
                "token", "create", "me", "--role", "viewer", env=environment(None, **env)
            )
            assert (await ask(again, "GET", "/api/v1/monitor/providers", made.out.strip()))[0] == 200


async def test_a_standby_answers_too_and_hears_of_a_revocation(database: Address, connection: Any) -> None:
    id_, token = await make(connection, TokenRole.VIEWER)
    async with running_daemon(variables(database)) as active:
        await active.ready()
        async with running_daemon(variables(database)) as standby:
            await standby.event("standing_by")
            for daemon in (active, standby):
                for path in ("/api/v1/monitor/providers", "/api/v1/llm-config/servers"):
                    assert (await ask(daemon, "GET", path, token))[0] == 200
            await revoke_token(connection, id_, "test")
            for daemon in (active, standby):

                async def refused(daemon: RunningDaemon = daemon) -> bool:
                    return (await ask(daemon, "GET", "/api/v1/monitor/providers", token))[0] == 401

                await daemon.until(refused, "the revocation", HEARD_SECONDS)


async def test_a_daemon_with_a_certificate_answers_over_tls(
    database: Address, connection: Any, tmp_path: Path
) -> None:
    _, token = await make(connection, TokenRole.VIEWER)
    cert, key = make_certificate(tmp_path)
    tls = {"MONITOR_TLS_CERT": str(cert), "MONITOR_TLS_KEY": str(key)}
    async with running_daemon({**variables(database), **tls}) as daemon:
        listening = await daemon.event("listening")
        daemon.url = daemon.url.replace("http://", "https://")
        assert listening["url"] == daemon.url
        trusted = ssl.create_default_context(cafile=str(cert))
        await daemon.event("leading")
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusted)) as session:
            async with session.get(f"{daemon.url}/healthz") as answer:
                assert answer.status == 200
            async with session.post(daemon.url + LOGIN, json={"token": token}) as answer:
                assert answer.status == 200
                assert "Secure" in answer.headers["Set-Cookie"]
            with pytest.raises(aiohttp.ClientError):
                await session.get(daemon.url.replace("https://", "http://") + "/healthz")


@pytest.mark.parametrize(
    ("cert", "key", "named"),
    [
        ("a.crt", None, "MONITOR_TLS_CERT: wants tls_key (MONITOR_TLS_KEY) too"),
        (None, "a.key", "MONITOR_TLS_KEY: wants tls_cert (MONITOR_TLS_CERT) too"),
        ("a.crt", "b.key", "MONITOR_TLS_KEY"),
        ("missing.crt", "a.key", "MONITOR_TLS_CERT"),
        ("a.crt", "missing.key", "MONITOR_TLS_KEY"),
        ("a.key", "a.key", "MONITOR_TLS_CERT"),
        ("a.crt", "a.crt", "MONITOR_TLS_KEY"),
    ],
)
async def test_a_certificate_that_cannot_be_used_is_named(
    tmp_path: Path, cert: str | None, key: str | None, named: str
) -> None:
    make_certificate(tmp_path, "a")
    make_certificate(tmp_path, "b")
    env = {"DATABASE_URL": "postgresql://u@127.0.0.1:1/d", "MONITOR_PORT": str(free_port())}
    env |= {"MONITOR_TLS_CERT": str(tmp_path / cert)} if cert else {}
    env |= {"MONITOR_TLS_KEY": str(tmp_path / key)} if key else {}
    answer = await llm_monitor("run", env=environment(None, **env))
    assert answer.code == 2
    assert answer.err.splitlines()[-1].startswith(f"llm-monitor: {named}"), answer.err
    assert "PRIVATE KEY" not in answer.err


async def test_no_token_crosses_a_network_in_clear_text(database: Address, connection: Any) -> None:
    _, token = await make(connection, TokenRole.VIEWER)
    outer = next(
        (
            one.address
            for addresses in psutil.net_if_addrs().values()
            for one in addresses
            if one.family.name == "AF_INET" and not one.address.startswith("127.")
        ),
        None,
    )
    if outer is None:
        pytest.skip(
            "this machine has no address but loopback: the refusal of plain HTTP from elsewhere is not seen"
        )
    port = free_port()
    env = {**variables(database), "MONITOR_HOST": "0.0.0.0", "MONITOR_ALLOWED_HOSTS": outer}
    session = "/api/v1/monitor/session"
    async with running_daemon(env, port=port) as daemon:
        await daemon.ready()
        assert (await ask(daemon, "GET", session, token))[0] == 200
        daemon.url = f"http://{outer}:{port}"
        status, answer = await ask(daemon, "GET", session, token)
        assert status == 403
        assert "MONITOR_TLS_CERT" in answer["detail"]
        assert "MONITOR_TRUST_PROXY" in answer["detail"]
        assert (await ask(daemon, "POST", LOGIN, json={"token": token}))[0] == 403
        assert (await daemon.get("/metrics"))[0] == 200
        status, page = await daemon.get("/")
        assert (status, "Nobody can log in here" in page, "MONITOR_TLS_CERT" in page) == (200, True, True)
        assert "<form" not in page
    async with running_daemon({**env, "MONITOR_TRUST_PROXY": outer}, port=port) as daemon:
        await daemon.ready()
        daemon.url = f"http://{outer}:{port}"
        assert (await ask(daemon, "GET", session, token))[0] == 200


async def test_a_stream_does_not_hold_up_the_end(database: Address, connection: Any) -> None:
    _, token = await make(connection, TokenRole.VIEWER)
    async with running_daemon(variables(database)) as daemon:
        await daemon.ready()
        headers = {"authorization": f"Bearer {token}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(f"{daemon.url}/api/v1/monitor/stream") as answer,
        ):
            assert answer.status == 200
            assert (await answer.content.readline()).startswith(b"event: resync")
            async with asyncio.timeout(10):
                code, _ = await asyncio.gather(daemon.stop(), answer.content.read())
        assert code == 0
