"""What litellm weighs on a daemon that has loaded it."""

import asyncio
import json
import subprocess
import sys

from tests.daemon import ROOT
from tests.fault_server import FaultServer

PROGRAM = """
import asyncio, gc, json, sys
from monitor.domain.policy import Policy
from monitor.domain.provider import Purpose
from monitor.domain.target import ProbeKind
from tests.targets import running_prober, server_target

async def main(url):
    outcomes = []
    async with running_prober() as prober:
        for provider in ("openai-compatible", "vllm"):
            for purpose in Purpose:
                target = server_target(provider, url, purpose=purpose)
                outcomes.append((await prober.probe(target, ProbeKind.DEEP, Policy())).outcome)
    gc.collect()
    print(json.dumps({
        "outcomes": sorted(set(outcomes)),
        "tokenizer": "litellm.litellm_core_utils.default_encoding" in sys.modules,
        "collects": gc.isenabled(),
        "walked": len(gc.get_objects()),
        "frozen": gc.get_freeze_count(),
    }))

asyncio.run(main(sys.argv[1]))
"""


async def test_litellm_brings_no_tokenizer_and_nothing_for_the_collector_to_walk() -> None:
    async with FaultServer() as server:
        started = await asyncio.create_subprocess_exec(
            sys.executable, "-W", "ignore", "-c", PROGRAM, server.url, cwd=ROOT, stdout=subprocess.PIPE
        )
        said, _ = await started.communicate()
    found = json.loads(said)
    assert (found["outcomes"], found["tokenizer"], found["collects"]) == (["ok"], False, True)
    assert found["walked"] < found["frozen"] / 5
