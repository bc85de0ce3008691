"""Every service proves its own ledger's entries to whoever has their random ids: hashes only, for everybody to read."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler

from shared.db import Database
from shared.ledger.proofs import Consistency, Proof, Prover
from shared.web.documented import documented
from shared.web.identity import PUBLIC
from shared.web.town import Town

ENTRIES_MAX = 100
# A proof never changes.
CACHED = {"cache-control": "public, max-age=86400"}


class AskProofs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The entries of a receipt, in a body: which entries are one person's stands in no address and no log."""

    entry_ids: Annotated[list[UUID], msgspec.Meta(max_length=ENTRIES_MAX)]


class Proofs(msgspec.Struct, frozen=True, kw_only=True):
    """The proofs of what is in a checkpoint already, and the ids of what is in none yet. Unknown ids are left out."""

    proofs: list[Proof]
    not_yet: list[UUID]


def proofs_path(service: str) -> str:
    """Where a service proves its entries."""
    return f"/{service}/api/ledger/proofs"


def ledger_routes(service: str) -> Sequence[ControllerRouterHandler]:
    """The routes of one service."""
    base, prover = proofs_path(service), Prover(service)

    @get(
        f"{base}/{{entry_id:uuid}}",
        tags=["ledger"],
        opt=PUBLIC | documented(refusals={"entry_unknown": 404, "entry_not_proved_yet": 409}),
    )
    async def get_proof(
        entry_id: FromPath[UUID], db: NamedDependency[Database], town: NamedDependency[Town]
    ) -> Response[Proof]:
        """The proof of an entry; 404 for an unknown one, 409 for one that is in no checkpoint yet."""
        async with db.begin(town.code) as session:
            return Response(await prover.prove(session, town.code, entry_id), headers=CACHED)

    @post(base, tags=["ledger"], opt=PUBLIC, status_code=200)
    async def post_proofs(
        data: JSONBody[AskProofs], db: NamedDependency[Database], town: NamedDependency[Town]
    ) -> Proofs:
        """The proofs of several entries."""
        async with db.begin(town.code) as session:
            known = await prover.prove_all(session, town.code, set(data.entry_ids))
        return Proofs(
            proofs=[proof for proof in known.values() if proof is not None],
            not_yet=[entry_id for entry_id, proof in known.items() if proof is None],
        )

    @get(
        f"/{service}/api/ledger/consistency",
        tags=["ledger"],
        opt=PUBLIC | documented(refusals={"checkpoint_unknown": 404}),
    )
    async def get_consistency(
        db: NamedDependency[Database],
        town: NamedDependency[Town],
        first: Annotated[date, QueryParameter(name="from")],
        second: Annotated[date, QueryParameter(name="to")],
    ) -> Response[Consistency]:
        """That between two days' checkpoints entries were only added."""
        async with db.begin(town.code) as session:
            shown = await prover.prove_consistency(session, town.code, first, second)
        return Response(shown, headers=CACHED)

    return [get_proof, post_proofs, get_consistency]
