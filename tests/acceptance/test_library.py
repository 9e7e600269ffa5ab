"""An application that asks the library before every call follows the daemon's failover by itself."""

import asyncio
from typing import Any

from monitor.integration import LLMConfigManager, LLMProviderIntegration
from monitor.keyring import generate
from monitor.storage.address import Address
from tests.application_rows import ApplicationRows
from tests.daemon import running_daemon
from tests.fault_server import FaultServer


async def test_the_next_call_after_a_failover_goes_to_the_other_one(
    database: Address, connection: Any, pool: Any
) -> None:
    manager = LLMConfigManager(pool, generate())
    await manager.initialize_defaults()
    integration = LLMProviderIntegration(manager)
    async with FaultServer(models=["m1"]) as primary, FaultServer(models=["m2"]) as fallback:
        aliases = {"model_aliases": {"gpt-4o-mini": "m2"}}
        rows = ApplicationRows(connection)
        one = await rows.add_server("primary", "openai-compatible", primary.url, model_path="m1")
        two = await rows.add_server("fallback", "openai-compatible", fallback.url, metadata=aliases)
        await rows.set_active("chat", one, two)
        async with running_daemon({"DATABASE_URL": database.describe()}) as daemon:
            await daemon.ready()
            await daemon.event("health_changed", target=f"{two}/chat", after="up")
            config = await integration.get_active_llm_provider("chat")
            assert config is not None
            assert config.to_litellm_config()["model"] == "openai/m1"
            primary_config = config

            async def fallback_is_known() -> bool:
                second = await integration.get_fallback_provider(primary_config)
                return second is not None and second.provider_name == "fallback"

            await daemon.until(fallback_is_known, "a fallback")

            primary.play("500")
            await daemon.event("active_provider_changed", rule="fail_over")
            async with asyncio.timeout(2):
                while config.provider_name != "fallback":
                    found = await integration.get_active_llm_provider("chat")
                    assert found is not None
                    config = found
                    await asyncio.sleep(0.001)
            # Nobody named its model: it is the one that its probes asked for.
            assert config.to_litellm_config()["model"] == "openai/m2"
            assert config.to_litellm_config(model="gpt-4o-mini")["model"] == "openai/m2"
            assert config.to_litellm_config()["api_base"] == f"{fallback.url}/v1"
            success, message = await integration.test_provider(config)
            assert success, message
            assert await integration.get_fallback_provider(config) is None  # the other one is down
    await integration.close()
    await manager.close()
