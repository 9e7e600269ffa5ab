"""An application with the management routes mounted, and beside them bare endpoints that do the same queries.

Run as a process: `python -m tests.bench.management_server URL`; it writes its port on one line.
"""

import argparse
import asyncio
import json
import sys
from typing import Any

import asyncpg
from fastapi import FastAPI

from monitor.integration import LLMConfigManager, router
from monitor.keyring import generate
from monitor.storage.queries import QUERIES
from monitor.web import WebServer

SERVERS = 10


async def serve(url: str) -> None:
    """Fill the database, answer until standard input ends."""
    async with asyncpg.create_pool(url, min_size=4, max_size=8) as pool:
        manager = LLMConfigManager(pool, generate(), old_encryption_keys=())
        await manager.initialize_defaults()
        for number in range(1, SERVERS + 1):
            await manager.add_ai_server(
                f"server-{number}", "vllm", "http://127.0.0.1:9", api_key=f"sk-0123456789abcdef-{number:04}"
            )
        await manager.set_active_provider("chat", "ai_server", 1, "ai_server", 2)
        server = WebServer(_application(pool, manager), "127.0.0.1", 0)
        await server.start()
        print(server.port, flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await server.stop()


def _application(pool: asyncpg.Pool, manager: LLMConfigManager) -> FastAPI:
    app = FastAPI()
    app.state.llm_manager = manager
    app.include_router(router)

    @app.get("/bare/servers")
    async def servers() -> Any:
        return [_shown(row) for row in await pool.fetch(QUERIES["list_servers"], None, False)]

    @app.get("/bare/servers/1")
    async def server() -> Any:
        return _shown(await pool.fetchrow(QUERIES["list_servers"], 1, False))

    @app.put("/bare/servers/1")
    async def change(body: dict[str, Any]) -> Any:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "UPDATE ai_servers SET model_path = $1, updated_at = now() WHERE id = 1", body["model_path"]
            )
            await connection.execute(
                "INSERT INTO llm_config_audit (action, entity_type, entity_id, changes)"
                " VALUES ('update', 'ai_server', '1', $1)",
                json.dumps(body),
            )
            return _shown(await connection.fetchrow(QUERIES["list_servers"], 1, False))

    return app


def _shown(row: Any) -> dict[str, Any]:
    return dict(row) | {"metadata": json.loads(row["metadata"])}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    asyncio.run(serve(parser.parse_args().url))
