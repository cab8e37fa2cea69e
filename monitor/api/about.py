"""`/api/v1/about`: which monitor this is, since when it runs, and who is asking."""

import platform
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse

import monitor
from monitor.api.guard import Principal, needs
from monitor.api.items import AboutItem
from monitor.api.sources import PREFIX
from monitor.clock import Clock


def make_about_router(clock: Clock) -> APIRouter:
    """Return the endpoint that tells about the monitor, which counts as started now."""
    router = APIRouter(prefix=PREFIX)
    started_at = clock.now()

    @router.get("/about", response_model=AboutItem, summary="Which monitor this is, and who you are to it")
    def tell_about(principal: Annotated[Principal, Depends(needs("viewer"))]) -> JSONResponse:
        about: AboutItem = {
            "version": monitor.__version__,
            "python": platform.python_version(),
            "started_at": started_at,
            "now": clock.now(),
            "name": principal.name,
            "role": principal.role,
            "bodies": principal.bodies,
        }
        return JSONResponse(about, headers={"Cache-Control": "no-store"})

    return router
