"""An application that keeps its LLM providers in PostgreSQL and follows whoever serves.

Run it beside the daemon:

    DATABASE_URL=... BYOK_ENCRYPTION_KEY=... ADMIN_PASSWORD=... uvicorn app:app
"""

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import asyncpg
import litellm
import openai
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPBasic, HTTPBasicCredentials

from monitor.integration import LLMConfigManager, LLMProviderIntegration, ProviderConfiguration, router


def require_admin(caller: Annotated[HTTPBasicCredentials, Depends(HTTPBasic())]) -> None:
    """The application's own idea of an administrator; here one password."""
    if not secrets.compare_digest(caller.password.encode(), os.environ["ADMIN_PASSWORD"].encode()):
        raise HTTPException(401, "Wrong password", {"WWW-Authenticate": "Basic"})


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One pool; the manager for the router, the integration for the calls, the callback for both signals."""
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=1, max_size=5) as pool:
        app.state.llm_manager = LLMConfigManager(pool, os.environ["BYOK_ENCRYPTION_KEY"])
        await app.state.llm_manager.initialize_defaults()
        app.state.providers = LLMProviderIntegration(app.state.llm_manager)
        litellm.callbacks = [app.state.providers.litellm_callback()]
        yield
        await app.state.providers.close()
        await app.state.llm_manager.close()


app = FastAPI(lifespan=lifespan)
app.include_router(router, dependencies=[Depends(require_admin)])


async def serving(purpose: str) -> ProviderConfiguration:
    """Who serves now: asked before every call, because the answer costs a microsecond and is never old."""
    config: ProviderConfiguration | None = await app.state.providers.get_active_llm_provider(purpose)
    if config is None:
        raise HTTPException(503, f"No provider serves {purpose}")
    return config


async def complete(config: ProviderConfiguration, question: str) -> dict[str, Any]:
    """One call, and who answered it."""
    messages = [{"role": "user", "content": question}]
    answer = await litellm.acompletion(
        messages=messages, timeout=20, max_retries=0, **config.to_litellm_config()
    )
    return {"provider": config.provider_name, "answer": answer.choices[0].message.content}


@app.get("/ask")
async def ask(question: str) -> dict[str, Any]:
    """Simple inference: an error is the caller's; the daemon hears of it and looks."""
    return await complete(await serving("chat"), question)


@app.get("/ask-surely")
async def ask_surely(question: str) -> dict[str, Any]:
    """Inference with fallback: this one request does not wait for anybody's decision."""
    config = await serving("chat")
    try:
        return await complete(config, question)
    except openai.BadRequestError:
        raise  # the question's fault: nobody else would answer it either
    except openai.APIError:  # litellm's errors all stand below this one
        fallback = await app.state.providers.get_fallback_provider(config)
        if fallback is None:
            raise
        return await complete(fallback, question)


@app.get("/where")
async def where() -> dict[str, Any]:
    """Provider kind check: what may leave the house, and what may not."""
    config = await serving("chat")
    return {"provider": config.provider_name, "own_server": config.provider_type == "ai_server"}
