"""The HTTP application: which router answers what, and what stands before all of them."""

from collections.abc import Callable

from fastapi import APIRouter, Depends, FastAPI

import hookfarm
from hookfarm.api import (
    auth,
    backfills,
    body,
    chains,
    dashboard,
    dead_letters,
    deliveries,
    endpoint_test,
    endpoints,
    health,
    metrics,
    openapi,
    problems,
    stats,
)
from hookfarm.api.context import Context
from hookfarm.api.parameters import refuse_unknown

BuildRouter = Callable[[Context], APIRouter]

OPEN: tuple[BuildRouter, ...] = (health.build_router, metrics.build_router, dashboard.build_router)
"""Routers that anybody may ask."""
WITH_TOKEN: tuple[BuildRouter, ...] = (
    endpoints.build_router,
    endpoint_test.build_router,
    deliveries.build_router,
    dead_letters.build_router,
    chains.build_router,
    backfills.build_router,
    stats.build_router,
)
"""Routers under /v1."""


def build(context: Context) -> FastAPI:
    """The application over one Redis."""
    app = FastAPI(
        title="hookfarm",
        version=hookfarm.__version__,
        description=openapi.DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    for build_router in OPEN:
        app.include_router(build_router(context))
    checks = [Depends(auth.token_check(context.settings.token)), Depends(refuse_unknown)]
    for build_router in WITH_TOKEN:
        app.include_router(build_router(context), prefix="/v1", dependencies=checks, responses=openapi.refusals())
    problems.install(app)
    openapi.install(app)
    app.add_middleware(body.BodyLimit)
    app.add_middleware(auth.HostCheck, names=context.settings.hosts)
    return app
