"""The management API, for an application to mount.

It carries no authentication: mount it behind yours,

    app.include_router(router, dependencies=[Depends(require_admin)])

and let `app.state.llm_manager` be an `LLMConfigManager`. Who makes a change is what your authentication
leaves in `request.state.user_id`; without that, what the body says. GET /health is among the routes; where it
is to be open, mount `health_router` before.
"""

from fastapi import APIRouter

from monitor.integration import routes_active, routes_api_keys, routes_servers

PREFIX = "/api/v1/llm-config"

router = APIRouter(prefix=PREFIX)
health_router = APIRouter(prefix=PREFIX)
health_router.include_router(routes_active.health_router)
router.include_router(routes_servers.router)
router.include_router(routes_api_keys.router)
router.include_router(routes_active.router)
router.include_router(routes_active.health_router)
