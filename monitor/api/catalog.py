"""`/api/v1/catalog`: the event catalog, how it differs from what is seen, as a graph, and a first one drafted."""

from collections.abc import Callable
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from monitor.api.catalog_items import CatalogItem, DifferencesItem
from monitor.api.catalog_telling import catalog_item, differences_item
from monitor.api.guard import needs
from monitor.api.sources import PREFIX, Sources
from monitor.catalog.differences import find_differences
from monitor.catalog.drafts import draft, draft_as_yaml
from monitor.catalog.graphs import Style, draw
from monitor.catalog.model import Catalog
from monitor.errors import NotFound

_UNCACHED = {"Cache-Control": "no-store"}
_DEFAULT_LIMIT = 1_000

Limit = Annotated[int, Query(ge=1, le=100_000, description="how many differences at most")]


def make_catalog_router(catalog: Callable[[], Catalog | None], sources: Sources) -> APIRouter:
    """Return the endpoints; `catalog` gives the one that is configured, None where none is."""
    router = APIRouter(prefix=f"{PREFIX}/catalog", dependencies=[Depends(needs("viewer"))])

    def find() -> Catalog:
        found = catalog()
        if found is None:
            raise NotFound("no catalog is configured; name an AsyncAPI document by the key `catalog`")
        return found

    tell = _once_each(catalog_item)

    @router.get("", response_model=CatalogItem, summary="The event catalog")
    def tell_catalog() -> JSONResponse:
        return JSONResponse(tell(find()), headers=_UNCACHED)

    @router.get("/diff", response_model=DifferencesItem, summary="What is seen and not written down, and vice versa")
    def tell_differences(limit: Limit = _DEFAULT_LIMIT) -> JSONResponse:
        return JSONResponse(differences_item(find_differences(find(), sources.views()), limit), headers=_UNCACHED)

    @router.get("/graph", response_class=PlainTextResponse, summary="The flow of events as Mermaid or Graphviz")
    def draw_graph(style: Annotated[Style, Query(alias="format")] = Style.MERMAID) -> PlainTextResponse:
        return PlainTextResponse(draw(find(), style), headers=_UNCACHED)

    @router.get(
        "/draft",
        response_class=PlainTextResponse,
        responses={200: {"content": {"application/json": {"schema": {"type": "object"}}}}},
        summary="A first catalog from what is seen",
    )
    def tell_draft(style: Annotated[Literal["yaml", "json"], Query(alias="format")] = "yaml") -> Response:
        if style == "json":
            return JSONResponse(draft(sources.views()), headers=_UNCACHED)
        return PlainTextResponse(draft_as_yaml(sources.views()), headers=_UNCACHED)

    return router


def _once_each(tell: Callable[[Catalog], CatalogItem]) -> Callable[[Catalog], CatalogItem]:
    """Tell a catalog anew only when it is another one: each time, all versions of its events are compared."""
    last: tuple[Catalog, CatalogItem] | None = None

    def told(catalog: Catalog) -> CatalogItem:
        nonlocal last
        kept = last  # read once: another thread may put another one there
        if kept is None or kept[0] is not catalog:
            kept = last = catalog, tell(catalog)
        return kept[1]

    return told
