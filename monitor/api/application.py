"""The whole HTTP side as one ASGI app."""

from collections.abc import Callable, Iterable
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

import monitor
from monitor.api.about import make_about_router
from monitor.api.description import DescribedApi, refuse_unknown_parameters
from monitor.api.guard import Guard, Refused, forget
from monitor.api.health import tell_readiness
from monitor.api.intake import Intake
from monitor.api.metrics import MetricsEndpoint
from monitor.api.problems import install_problem_handlers
from monitor.api.reference import HEADERS, render_reference
from monitor.api.routes import make_router
from monitor.api.sources import Sources
from monitor.api.summary import make_summary_router
from monitor.config import Server

_UNCACHED = {"Cache-Control": "no-store"}


def make_api(
    sources: Sources,
    server: Callable[[], Server],
    further: Iterable[APIRouter] = (),
    refused: Refused = forget,
) -> FastAPI:
    """Return the app that answers from `sources` to those whom `server`, asked at each request, lets in.

    `further` are the endpoints of the parts that act or remember; `refused` hears who is turned away.
    """
    app = DescribedApi(
        title="Eventflow Monitor",
        version=monitor.__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Depends(refuse_unknown_parameters)],
    )
    install_problem_handlers(app)
    app.add_middleware(Intake)
    # Around it: nobody's body is read before it is known who asks.
    app.add_middleware(Guard, server=server, refused=refused)
    # The general paths last: an id may hold slashes, so that theirs would take those of the others too.
    for router in (*further, make_about_router(sources.clock), make_summary_router(sources), make_router(sources)):
        app.include_router(router)
    app.router.routes += [
        Route("/metrics", MetricsEndpoint(sources.page)),
        Route("/healthz", _tell_alive),
        Route("/readyz", _readiness_of(sources)),
        Route("/docs", _docs_of(app)),
    ]
    return app


async def _tell_alive(request: Request) -> Response:
    return JSONResponse({"alive": True}, headers=_UNCACHED)


def _readiness_of(sources: Sources) -> Any:
    async def tell_ready(request: Request) -> Response:
        ready, told = tell_readiness(sources.views())
        return JSONResponse(told, status_code=200 if ready else 503, headers=_UNCACHED)

    return tell_ready


def _docs_of(app: FastAPI) -> Any:
    async def show_docs(request: Request) -> Response:
        return HTMLResponse(render_reference(app.openapi()), headers=HEADERS)

    return show_docs
