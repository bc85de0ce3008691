"""Routing's JSON: what the town offers, for other sites and open data."""

from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency

from services.routing.domain.catalogue import Procedure
from services.routing.domain.search import QUERY_MAX_LENGTH, search
from services.routing.queries.catalogues import Catalogues
from shared.db import Database
from shared.web.identity import PUBLIC
from shared.web.town import Town


@get("/routing/api/procedures", opt=PUBLIC)
async def get_procedures(
    request: Request[Any, Any, Any],
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    catalogues: NamedDependency[Catalogues],
) -> Response[bytes]:
    """The procedures that match `q`, best first; all of them without it. `sample`: the town has not confirmed them."""
    query = request.query_params.get("q", "").strip()[:QUERY_MAX_LENGTH]
    async with db.begin(town.code) as session:
        catalogue = await catalogues.read(session, town.code)
    found = [match.procedure for match in search(catalogue.index, query)] if query else catalogue.procedures
    body = {"municipality": town.code, "procedures": [_public(procedure) for procedure in found]}
    return Response(msgspec.json.encode(body), media_type="application/json")


def _public(procedure: Procedure) -> dict[str, Any]:
    hidden = ("source", "discreet")
    values = {name: value for name, value in msgspec.to_builtins(procedure).items() if name not in hidden}
    return values | {"sample": procedure.is_sample, "url": f"/procedures/{procedure.code}"}
