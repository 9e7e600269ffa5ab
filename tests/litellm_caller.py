"""An application that calls litellm as it comes, without anything of ours: `python -m tests.litellm_caller`.

Standard input has a list of calls (`name`, `purpose`, `config`), standard output gets what each raised.
The purpose `route` asks litellm only whom it would call.
"""

import asyncio
import json
import os
import sys
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm

QUESTION = [{"role": "user", "content": "Say OK."}]
LIMITS: dict[str, Any] = {"timeout": 30, "max_retries": 0}


def call(purpose: str, config: dict[str, Any]) -> None:
    """One call in the way of an application that waits."""
    match purpose:
        case "chat":
            litellm.completion(messages=QUESTION, **LIMITS, **config)
        case "embeddings":
            litellm.embedding(input=["a fox"], **LIMITS, **config)
        case "route":
            _, provider, key, _ = litellm.get_llm_provider(
                config["model"], api_base=config["api_base"], api_key=config["api_key"]
            )
            if (provider, key or config["api_key"]) != (config["custom_llm_provider"], config["api_key"]):
                raise ValueError(f"{config['model']} goes to {provider}")
        case _:
            litellm.rerank(query="a fox", documents=["a fox", "bread"], top_n=2, **config)


async def call_async(purpose: str, config: dict[str, Any]) -> None:
    """The same in the way of one that does not."""
    match purpose:
        case "chat":
            await litellm.acompletion(messages=QUESTION, **LIMITS, **config)
        case "embeddings":
            await litellm.aembedding(input=["a fox"], **LIMITS, **config)
        case _:
            await litellm.arerank(query="a fox", documents=["a fox", "bread"], top_n=2, **config)


def main() -> None:
    """Make all calls, one after the other."""
    litellm.suppress_debug_info = True
    found: dict[str, str | None] = {}
    for one in json.load(sys.stdin):
        try:
            if one["name"].endswith("async"):
                asyncio.run(call_async(one["purpose"], one["config"]))
            else:
                call(one["purpose"], one["config"])
            found[one["name"]] = None
        except Exception as error:  # noqa: BLE001 - whatever it is, the test wants to see it
            found[one["name"]] = f"{type(error).__name__}: {error}"[:600]
    print("\n" + json.dumps(found))


if __name__ == "__main__":
    main()
