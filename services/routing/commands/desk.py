"""What was prepared at home, gone through at the counter: checked, corrected with the person's word, and confirmed."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import Row, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.contact import update_case
from services.routing.commands.looking import Seen, case_at_office, look_at_items
from services.routing.commands.protection import askable
from services.routing.commands.reuse import usable_sources
from services.routing.commands.subjects import mint_subject
from services.routing.commands.vault import STEP_FORM, Source, Use, keep_items, read_values, write_use
from services.routing.domain.desk import CONFIRMED, SIGNATURE, STEP_CONFIRM, How
from services.routing.domain.items import ITEM_PARTS, typed_items
from services.routing.domain.town_items import form_of
from services.routing.queries.case_numbers import find_application_of
from services.routing.queries.desk import find_confirmation
from services.routing.tables import SERVICE, desk_check, desk_confirmation
from shared.audit import record_deed
from shared.crypto import SubjectVault
from shared.errors import Refusal
from shared.tokens import Identity

STEP_DESK = "desk"
# Where staff look: on their page, on paper for the person to sign, or in a file for another system of the town hall.
Where = Literal["desk", "desk_print", "desk_export"]
PURPOSES: dict[Where, str] = {
    "desk": "窓口で、書いていただいた内容をいっしょに確かめるため",
    "desk_print": "窓口で、紙で内容を確かめていただくため",
    "desk_export": "手続きを進める役場のシステムに入れるため",
}
PURPOSE_CONFIRM = "窓口で、内容がこれでよいか確かめていただくため"


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """A case as it lies on the desk. `sources`: what may be seen of what its form asks for, in the form's order.

    `ticked`: the version of each item that was gone through. `confirmation`: the person's word, while it stands.
    """

    case: Any
    procedure: Any
    sources: dict[str, Source]
    ticked: dict[str, int]
    confirmation: Any

    @property
    def needed(self) -> tuple[str, ...]:
        """The items that the form asks for, without what does not apply to this case."""
        return tuple(item for item in typed_items(self.procedure.items) if item not in self.case.not_asked)

    @property
    def versions(self) -> dict[str, int]:
        """The version of each item that can be confirmed now, or that was confirmed."""
        if self.confirmation is not None:
            return dict(self.confirmation.items)
        return {key: source.version for key, source in self.sources.items()}

    @property
    def unchecked(self) -> tuple[str, ...]:
        """What nobody has gone through yet, in the version that it has now."""
        return tuple(key for key, source in self.sources.items() if self.ticked.get(key) != source.version)

    @property
    def office(self) -> str:
        """The office that the procedure belongs to."""
        return str(self.procedure.office)


async def read_desk(session: AsyncSession, identity: Identity, case_id: UUID, *, lock: bool = False) -> Desk:
    """A case for the offices that deal with it; no values.

    Raises:
        Refusal: `case_unknown` (404), `other_office` (403), `desk_has_application` (409).
    """
    case, row = await case_at_office(session, identity, case_id, lock=lock)
    if await find_application_of(session, case.municipality, case_id) is not None:
        raise Refusal("desk_has_application", 409)
    found = await usable_sources(session, case, steps=(STEP_FORM, "handover"))
    wanted = [key for key in typed_items(row.items) if key in found and key not in case.not_asked]
    # Of a protected person, as if it had never been given: nothing on the desk tells that somebody is one.
    shown = await askable(session, case.municipality, case.subject_ref, wanted, SERVICE)
    rows = await session.execute(
        select(desk_check.c.item, desk_check.c.version)
        .where(desk_check.c.municipality == case.municipality, desk_check.c.case_id == case_id)
        .limit(len(ITEM_PARTS))
    )
    return Desk(
        case=case,
        procedure=row,
        sources={key: found[key] for key in shown},
        ticked={row.item: row.version for row in rows},
        confirmation=await find_confirmation(session, case.municipality, case_id),
    )


async def look_at_desk(
    session: AsyncSession, vault: SubjectVault, *, identity: Identity, case_id: UUID, where: Where, now: datetime
) -> tuple[Desk, tuple[Seen, ...]]:
    """What was prepared, or what was confirmed, with its values; on paper and in a file with the signature.

    Raises:
        Refusal: as `read_desk`; `desk_unconfirmed` (409), nothing to take into another system yet.
    """
    desk = await read_desk(session, identity, case_id)
    versions = desk.versions
    if where == "desk_export" and desk.confirmation is None:
        raise Refusal("desk_unconfirmed", 409)
    if where == "desk_print" and desk.confirmation is not None and desk.confirmation.signature_version is not None:
        versions[SIGNATURE] = desk.confirmation.signature_version
    items = await look_at_items(
        session,
        vault,
        identity=identity,
        case=desk.case,
        keys=list(versions),
        versions=versions,
        purpose=PURPOSES[where],
        step=where,
        office=identity.office or desk.office,
        now=now,
    )
    return desk, items


async def look_at_item(
    session: AsyncSession, vault: SubjectVault, *, identity: Identity, case_id: UUID, item: str, now: datetime
) -> tuple[Desk, str | None]:
    """One item, to correct it with the person's word, and its value; None: it is not there.

    Raises:
        Refusal: as `read_desk`; `item_unknown` (404), the form does not ask for it.
    """
    desk = await read_desk(session, identity, case_id)
    if item not in desk.needed:
        raise Refusal("item_unknown", 404)
    if item not in desk.sources:
        return desk, None
    seen = await look_at_items(
        session,
        vault,
        identity=identity,
        case=desk.case,
        keys=[item],
        versions={item: desk.sources[item].version},
        purpose=PURPOSES["desk"],
        step=STEP_DESK,
        office=identity.office or desk.office,
        now=now,
    )
    return desk, seen[0].value if seen else None


async def correct_at_desk(
    session: AsyncSession,
    vault: SubjectVault,
    *,
    identity: Identity,
    case_id: UUID,
    item: str,
    value: str,
    before: int,
    now: datetime,
) -> None:
    """Keep what the person says at the desk, as the next version. `before` is the version that staff saw (0: none): of
    two who correct at once, one does. Whoever typed it has gone through it.

    Raises:
        Refusal: as `read_desk`; `item_unknown` (404), `desk_moved` (409), `subject_erased` (410).
    """
    desk = await read_desk(session, identity, case_id, lock=True)
    case = desk.case
    if item not in desk.needed:
        raise Refusal("item_unknown", 404)
    standing = desk.sources.get(item)
    if (standing.version if standing else 0) != before:
        raise Refusal("desk_moved", 409)
    staff = msgspec.structs.replace(identity, office=identity.office or desk.office)
    subject_ref = case.subject_ref or await _mint(session, identity, case, now=now)
    kept = await keep_items(
        session,
        vault,
        identity=staff,
        subject_ref=subject_ref,
        values={item: value},
        case_id=case_id,
        procedure=case.procedure,
        purpose=PURPOSES["desk"],
        step=STEP_DESK,
        usable={item: standing} if standing else {},
        outcome="said_at_desk",
        acting_for=case.acting_for,
        now=now,
    )
    await _tick(session, identity, case, item, kept.versions[item], now)
    # What no longer applies by it is no part of the case, as in `save_form`.
    not_asked = form_of(case.procedure).not_asked({item: value}, case.not_asked)
    await session.execute(
        update_case(case).values(
            subject_ref=subject_ref,
            items=sorted({*(case.items or ()), item} - set(not_asked)),
            not_asked=list(not_asked),
            updated_at=now,
            version=case.version + 1,
        )
    )
    await record_deed(session, identity, f"desk_correct:{item}", case_id, now=now)


async def tick_at_desk(
    session: AsyncSession,
    *,
    identity: Identity,
    case_id: UUID,
    shown: Mapping[str, int],
    before: Collection[str],
    ticked: Collection[str],
    now: datetime,
) -> None:
    """Tick what was gone through with the person, as it was `shown`. Only what differs from `before` is changed: what a
    colleague ticked meanwhile stays.

    Raises:
        Refusal: as `read_desk`; `desk_moved` (409), something was changed since, or is confirmed.
    """
    desk = await read_desk(session, identity, case_id, lock=True)
    if desk.confirmation is not None or shown != desk.versions:
        raise Refusal("desk_moved", 409)
    for key, version in desk.versions.items():
        if key in ticked and key not in before:
            await _tick(session, identity, desk.case, key, version, now)
        elif key in before and key not in ticked:
            await session.execute(
                delete(desk_check).where(
                    desk_check.c.municipality == identity.municipality,
                    desk_check.c.case_id == case_id,
                    desk_check.c.item == key,
                )
            )
    await record_deed(session, identity, "desk_tick", case_id, now=now)


async def show_to_person(
    session: AsyncSession, vault: SubjectVault, *, identity: Identity, case_id: UUID, now: datetime
) -> tuple[Desk, dict[str, str]]:
    """What the person is asked to confirm on the tablet, which staff hold out to them.

    Raises:
        Refusal: as `read_desk`; `desk_unchecked` (409).
    """
    desk = await read_desk(session, identity, case_id)
    _refuse_unchecked(desk)
    use = Use(
        entry_type="previewed",
        case_id=case_id,
        procedure=desk.case.procedure,
        target_service=SERVICE,
        target_step=STEP_CONFIRM,
        purpose=PURPOSE_CONFIRM,
        outcome="said_at_desk",
        acting_for=desk.case.acting_for,
    )
    await record_deed(session, identity, "desk_show", case_id, now=now)
    values = await read_values(
        session,
        vault,
        identity=msgspec.structs.replace(identity, office=identity.office or desk.office),
        subject_ref=desk.case.subject_ref,
        keys=tuple(desk.versions),
        use=use,
        versions=desk.versions,
        now=now,
    )
    return desk, {key: values[key].value for key in desk.versions if key in values}


async def confirm_at_desk(
    session: AsyncSession,
    vault: SubjectVault,
    *,
    identity: Identity,
    case_id: UUID,
    shown: Mapping[str, int],
    how: How,
    signature: str = "",
    now: datetime,
) -> None:
    """Write that the person confirmed exactly these versions. The same once more changes nothing.

    Raises:
        Refusal: as `read_desk`; `desk_moved` (409), `desk_unchecked` (409).
    """
    desk = await read_desk(session, identity, case_id, lock=True)
    if not shown or shown != desk.versions:
        raise Refusal("desk_moved", 409)
    if desk.confirmation is not None:
        return
    _refuse_unchecked(desk)
    case, office = desk.case, identity.office or desk.office
    staff = msgspec.structs.replace(identity, office=office)
    signature_version = None
    if signature:
        kept = await keep_items(
            session,
            vault,
            identity=staff,
            subject_ref=case.subject_ref,
            values={SIGNATURE: signature},
            case_id=case_id,
            procedure=case.procedure,
            purpose=PURPOSE_CONFIRM,
            step=STEP_CONFIRM,
            usable={},
            stands_alone=True,
            outcome=CONFIRMED[how],
            acting_for=case.acting_for,
            now=now,
        )
        signature_version = kept.versions[SIGNATURE]
    await session.execute(
        insert(desk_confirmation).values(
            municipality=case.municipality,
            confirmation_id=uuid4(),
            case_id=case_id,
            items=desk.versions,
            how=how,
            office=office,
            staff_ref=identity.ref,
            signature_version=signature_version,
            confirmed_at=now,
        )
    )
    use = Use(
        entry_type="collected",
        case_id=case_id,
        procedure=case.procedure,
        target_service=SERVICE,
        target_step=STEP_CONFIRM,
        purpose=PURPOSE_CONFIRM,
        outcome=CONFIRMED[how],
        acting_for=case.acting_for,
    )
    commitments = {key: source.commitment for key, source in desk.sources.items()}
    await write_use(session, staff, case.subject_ref, use, commitments, now=now)
    await session.execute(update_case(case).values(updated_at=now, version=case.version + 1))
    await record_deed(session, identity, f"desk_confirm:{how}", case_id, now=now)


def _refuse_unchecked(desk: Desk) -> None:
    if desk.confirmation is None and (desk.unchecked or not desk.sources):
        raise Refusal("desk_unchecked", 409)


async def _tick(
    session: AsyncSession, identity: Identity, case: Row[Any], item: str, version: int, now: datetime
) -> None:
    values = {"version": version, "ticked_by": identity.ref, "ticked_at": now}
    await session.execute(
        insert(desk_check)
        .values(municipality=case.municipality, case_id=case.case_id, item=item, **values)
        .on_conflict_do_update(index_elements=["municipality", "case_id", "item"], set_=values)
    )


async def _mint(session: AsyncSession, identity: Identity, case: Row[Any], *, now: datetime) -> UUID:
    """Whoever prepared nothing: the guest who began the case, or the one for whom staff did."""
    if case.behalf is not None:
        return await mint_subject(session, identity, now=now)
    guest = msgspec.structs.replace(identity, kind="guest", ref=case.guest_ref, session_id=case.session_id)
    return await mint_subject(session, guest, now=now)
