"""Passkeys (パスキー): a key pair that somebody's phone made, of which we have the public half (WebAuthn).

A challenge is kept here until it is answered, once. What may be answered, and from which site, the library checks.
"""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import base64url_to_bytes, generate_challenge
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from services.routing.commands.askings import lock_account
from services.routing.commands.sessions import NewSession, refuse_old_proof, start_staff_session
from services.routing.domain.sign_in import CHALLENGE_LIFETIME, CREDENTIAL_MAX_LENGTH, PASSKEYS_MAX
from services.routing.tables import passkey, passkey_challenge
from shared.audit import record_deed
from shared.errors import Refusal
from shared.tokens import Identity

# Whatever its parsers make of garbage, the library lets through.
NOT_GENUINE = (WebAuthnException, ValueError, LookupError, TypeError, AttributeError)


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """The town's site, for which alone a passkey is good: its name, its host, and its address as browsers say it."""

    name: str
    host: str
    origin: str


class Challenge(msgspec.Struct, frozen=True, kw_only=True):
    """What the page hands to the browser (`options`, WebAuthn's JSON), and the reference that comes back with it."""

    challenge_id: UUID
    options: dict[str, Any]


async def begin_passkey(
    session: AsyncSession, *, identity: Identity, account_id: UUID, site: Site, now: datetime
) -> Challenge:
    """What the phone of somebody signed in needs to make a passkey for this account.

    Raises:
        Refusal: `proof_old` (403): they sign in once more first; `account_unknown` (404), `passkeys_too_many` (409).
    """
    await refuse_old_proof(session, identity, now=now)
    person = await lock_account(session, identity.municipality, account_id)
    if person is None:
        raise Refusal("account_unknown", 404)
    known = await list_passkeys(session, identity.municipality, account_id)
    if len(known) >= PASSKEYS_MAX:
        raise Refusal("passkeys_too_many", 409)
    challenge = generate_challenge()
    options = generate_registration_options(
        rp_id=site.host,
        rp_name=site.name,
        # Shown by the phone alone: it tells the owner which account the passkey opens.
        user_name=person.login,
        user_display_name=person.display_name or person.login,
        user_id=account_id.bytes,
        challenge=challenge,
        # The phone finds it without a login being typed, and asks for a finger, a face or a PIN.
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=row.credential_id) for row in known],
    )
    challenge_id = await _keep(session, identity.municipality, challenge, account_id, now)
    return Challenge(challenge_id=challenge_id, options=msgspec.json.decode(options_to_json(options)))


async def add_passkey(
    session: AsyncSession,
    *,
    identity: Identity,
    account_id: UUID,
    challenge: bytes,
    credential: str,
    name: str,
    site: Site,
    now: datetime,
) -> UUID:
    """Keep the public half of what the phone made.

    Raises:
        Refusal: `account_unknown` (404), `passkey_refused` (422), `passkeys_too_many` (409).
    """
    town = identity.municipality
    if await lock_account(session, town, account_id) is None:
        raise Refusal("account_unknown", 404)
    try:
        made = verify_registration_response(
            credential=_read(credential),
            expected_challenge=challenge,
            expected_rp_id=site.host,
            expected_origin=site.origin,
            require_user_verification=True,
        )
    except NOT_GENUINE:
        raise Refusal("passkey_refused", 422) from None
    if len(await list_passkeys(session, town, account_id)) >= PASSKEYS_MAX:
        raise Refusal("passkeys_too_many", 409)
    passkey_id = uuid4()
    await session.execute(
        insert(passkey).values(
            municipality=town,
            passkey_id=passkey_id,
            account_id=account_id,
            credential_id=made.credential_id,
            public_key=made.credential_public_key,
            sign_count=made.sign_count,
            name=name,
            made_at=now,
        )
    )
    await record_deed(session, identity, "add_passkey", passkey_id, now=now)
    return passkey_id


async def remove_passkey(
    session: AsyncSession, *, identity: Identity, account_id: UUID, passkey_id: UUID, now: datetime
) -> None:
    """Nobody signs in by it any more. Removed again, nothing changes."""
    mine = (passkey.c.municipality == identity.municipality, passkey.c.account_id == account_id)
    removed = await session.execute(
        delete(passkey).where(*mine, passkey.c.passkey_id == passkey_id).returning(passkey.c.passkey_id)
    )
    if removed.one_or_none() is not None:
        await record_deed(session, identity, "remove_passkey", passkey_id, now=now)


async def begin_sign_in(session: AsyncSession, *, municipality: str, site: Site, now: datetime) -> Challenge:
    """What a phone needs to sign in by whichever passkey it has for this site: it tells nobody who has one."""
    challenge = generate_challenge()
    options = generate_authentication_options(
        rp_id=site.host, challenge=challenge, user_verification=UserVerificationRequirement.REQUIRED
    )
    challenge_id = await _keep(session, municipality, challenge, None, now)
    return Challenge(challenge_id=challenge_id, options=msgspec.json.decode(options_to_json(options)))


async def take_challenge(
    session: AsyncSession, *, municipality: str, challenge_id: UUID, account_id: UUID | None = None, now: datetime
) -> bytes:
    """The challenge that was given to sign in, or to add a passkey to the account: taken away, to be answered once.

    In a transaction of its own: an answer that is refused has used it up as well.

    Raises:
        Refusal: `passkey_refused` (422): it was answered before, or too late.
    """
    taken = (
        delete(passkey_challenge)
        .where(
            passkey_challenge.c.municipality == municipality,
            passkey_challenge.c.challenge_id == challenge_id,
            passkey_challenge.c.account_id.is_not_distinct_from(account_id),
            passkey_challenge.c.expires_at > now,
        )
        .returning(passkey_challenge.c.challenge)
    )
    challenge = (await session.execute(taken)).scalar_one_or_none()
    if challenge is None:
        raise Refusal("passkey_refused", 422)
    return bytes(challenge)


async def sign_in_by_passkey(
    session: AsyncSession, *, municipality: str, challenge: bytes, credential: str, site: Site, now: datetime
) -> NewSession:
    """Whoever has the phone, and opens it, is in.

    Raises:
        Refusal: `passkey_refused` (422): not known here, not for this site or this challenge, a copy of a passkey, or
            of an account that is closed. Nobody is told which.
    """
    answer = _read(credential)
    known = await _find(session, municipality, answer)
    person = await lock_account(session, municipality, known.account_id) if known else None
    # Read again now that nobody else signs in by it: its count is the newest.
    known = await _find(session, municipality, answer)
    if person is None or known is None:
        raise Refusal("passkey_refused", 422)
    try:
        verified = verify_authentication_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=site.host,
            expected_origin=site.origin,
            credential_public_key=known.public_key,
            credential_current_sign_count=known.sign_count,
            require_user_verification=True,
        )
    except NOT_GENUINE:
        raise Refusal("passkey_refused", 422) from None
    await session.execute(
        update(passkey)
        .where(passkey.c.municipality == municipality, passkey.c.passkey_id == known.passkey_id)
        .values(sign_count=verified.new_sign_count, last_used_at=now)
    )
    return await start_staff_session(
        session,
        municipality=municipality,
        account_id=person.account_id,
        roles=tuple(person.roles),
        office=person.office,
        now=now,
    )


async def list_passkeys(session: AsyncSession, municipality: str, account_id: UUID) -> list[Row[Any]]:
    """The passkeys of an account, the oldest first."""
    query = select(passkey).where(passkey.c.municipality == municipality, passkey.c.account_id == account_id)
    return list((await session.execute(query.order_by(passkey.c.made_at).limit(PASSKEYS_MAX))).all())


async def forget_passkeys(session: AsyncSession, municipality: str, account_id: UUID) -> None:
    """The account is closed."""
    for table in (passkey, passkey_challenge):
        await session.execute(
            delete(table).where(table.c.municipality == municipality, table.c.account_id == account_id)
        )


async def _keep(
    session: AsyncSession, municipality: str, challenge: bytes, account_id: UUID | None, now: datetime
) -> UUID:
    challenge_id = uuid4()
    await session.execute(
        insert(passkey_challenge).values(
            municipality=municipality,
            challenge_id=challenge_id,
            challenge=challenge,
            account_id=account_id,
            expires_at=now + CHALLENGE_LIFETIME,
        )
    )
    return challenge_id


def _read(credential: str) -> dict[str, Any]:
    """What the browser answered, as far as it is JSON. What is in it the library checks."""
    try:
        answer = msgspec.json.decode(credential[:CREDENTIAL_MAX_LENGTH], type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeEncodeError):
        raise Refusal("passkey_refused", 422) from None
    return answer


async def _find(session: AsyncSession, municipality: str, answer: dict[str, Any]) -> Row[Any] | None:
    """The passkey that an answer says it is of."""
    try:
        credential_id = base64url_to_bytes(str(answer.get("rawId", "")))
    except ValueError:
        return None
    query = select(passkey).where(passkey.c.municipality == municipality, passkey.c.credential_id == credential_id)
    return (await session.execute(query)).one_or_none()
