"""What was delivered and paid when somebody's turn ended: rows of the step `done`, which count unless it is undone."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.cash import Delivered, Handed, Paid

_DELIVERED = text("""
    INSERT INTO delivered (municipality, appointment_id, version, procedure, quantity, handed)
    VALUES (:municipality, :appointment_id, :version, :procedure, :quantity, :handed)
""")
_PAID = text("""
    INSERT INTO payment
        (municipality, appointment_id, version, day, counter, office, amount_yen, means, receipt_no, taken_at)
    SELECT municipality, appointment_id, version, day, counter, office, :amount_yen, :means, :receipt_no, at
    FROM line_step WHERE (municipality, appointment_id, version) = (:municipality, :appointment_id, :version)
""")


def as_booked(row: Any) -> tuple[Delivered, ...]:
    """What an appointment was made for: taken as delivered where staff say nothing else."""
    services = row.services or [{"procedure": row.procedure, "quantity": 1}]
    return tuple(Delivered(procedure=each["procedure"], quantity=each["quantity"]) for each in services)


async def record_delivered(
    session: AsyncSession, row: Any, delivered: Sequence[Delivered], handed: Handed, paid: Paid | None = None
) -> None:
    """Write what the step that ends the turn of `row` (as it was before the step) delivered, and what was paid."""
    step = {"municipality": row.municipality, "appointment_id": row.appointment_id, "version": row.version + 1}
    if delivered:
        await session.execute(
            _DELIVERED,
            [step | {"procedure": each.procedure, "quantity": each.quantity, "handed": handed} for each in delivered],
        )
    if paid is not None:
        money = {"amount_yen": paid.amount_yen, "means": paid.means, "receipt_no": paid.receipt_no}
        await session.execute(_PAID, step | money)
