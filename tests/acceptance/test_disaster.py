"""A backup of a daemon at work, and a daemon that goes on from it after the folder was lost."""

from pathlib import Path

from monitor.storage.address import connect
from monitor.storage.embedded_attach import attach
from tests.application_rows import ApplicationRows
from tests.command_line import environment, llm_monitor
from tests.daemon import running_daemon
from tests.fault_server import FaultServer


async def test_a_daemon_goes_on_from_a_backup_of_another_folder(open_folder: Path) -> None:
    first, second, path = open_folder / "first", open_folder / "second", open_folder / "saved.zip"
    async with FaultServer() as one, FaultServer() as two:
        async with running_daemon({"MONITOR_DATA_DIR": str(first)}) as daemon:
            await daemon.ready()
            connection = await connect(attach(first))
            rows = ApplicationRows(connection)
            await rows.add_server("one", "vllm", one.url, model_path="m1", use_for_chat=True)
            await rows.add_server("two", "vllm", two.url, model_path="m1", use_for_chat=True)
            await rows.set_active("chat", "ai_server:1", "ai_server:2")
            for target in ("ai_server:1/chat", "ai_server:2/chat"):
                await daemon.event("health_changed", after="up", target=target)
            one.play("reset")

            async def moved() -> bool:
                return await rows.serving() == "ai_server:2"

            await daemon.until(moved, "a move")
            saved = await llm_monitor("backup", str(path), env=environment(MONITOR_DATA_DIR=str(first)))
            assert saved.code == 0, saved
            asked = len(two.deep_requests)
            await daemon.until(lambda: len(two.deep_requests) > asked + 1, "probes while and after it")
            await connection.close()
            assert await daemon.stop() == 0
        restored = await llm_monitor("restore", str(path), env=environment(MONITOR_DATA_DIR=str(second)))
        assert restored.code == 0, restored
        async with running_daemon({"MONITOR_DATA_DIR": str(second)}) as daemon:
            await daemon.ready()
            connection = await connect(attach(second))
            rows = ApplicationRows(connection)
            assert await rows.serving() == "ai_server:2"
            assert [row["rule"] for row in await rows.transitions()][-1] == "fail_over"
            assert daemon.events("purpose_adopted") == daemon.events("keys_not_decrypted") == []
            results = len(await rows.results("ai_server:2"))
            assert results > 0

            async def probed() -> bool:
                return len(await rows.results("ai_server:2")) > results

            await daemon.until(probed, "a new result beside those of before")
            told = await llm_monitor("history", "chat", env=environment(MONITOR_DATA_DIR=str(second)))
            assert "fail_over: from one (ai_server:1) to two (ai_server:2)" in told.out
            await connection.close()
            assert await daemon.stop() == 0
