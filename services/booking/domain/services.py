"""What is done in one appointment: several procedures of a counter, how many of each, and how long that takes."""

from collections.abc import Mapping, Sequence

import msgspec

from shared.errors import Refusal

# So many procedures are done in one appointment, and so long it lasts at most.
SERVICES_MAX = 5
MINUTES_MAX = 240


class Service(msgspec.Struct, frozen=True):
    """A procedure of an appointment, and how many of it."""

    procedure: str
    quantity: int = 1


class ServiceKind(msgspec.Struct, frozen=True, kw_only=True):
    """A procedure as it can be chosen: where, how long the first takes and each more, and how they are counted."""

    code: str
    name_ja: str
    counters: tuple[str, ...]
    minutes: int
    more_min: int = 0
    quantity_max: int = 1
    unit: str = ""
    notice_min: int | None = None
    horizon_days: int | None = None


def time_needed(kinds: Mapping[str, ServiceKind], services: Sequence[Service]) -> int:
    """Minutes for all of it, one after another."""
    return sum(
        kinds[each.procedure].minutes + kinds[each.procedure].more_min * (each.quantity - 1) for each in services
    )


def shared_counters(kinds: Mapping[str, ServiceKind], services: Sequence[Service]) -> tuple[str, ...]:
    """The counters at which all of it can be done, in the order of the first procedure."""
    first, *others = (kinds[each.procedure].counters for each in services)
    return tuple(code for code in first if all(code in counters for counters in others))


def refuse_unfit(kinds: Mapping[str, ServiceKind], services: Sequence[Service], *, own: str) -> None:
    """Whether all of it can be done in one appointment of a case's `own` procedure, which comes first.

    Raises:
        Refusal: `services_unfit` (409), there is no such procedure (any more), no counter for all of it, or more of one
            than the town allows; `services_too_long` (409).
    """
    codes = [each.procedure for each in services]
    if codes[:1] != [own] or len(set(codes)) != len(codes) or len(codes) > SERVICES_MAX:
        raise Refusal("services_unfit", 409)
    if any(code not in kinds for code in codes) or not shared_counters(kinds, services):
        raise Refusal("services_unfit", 409)
    if any(not 1 <= each.quantity <= kinds[each.procedure].quantity_max for each in services):
        raise Refusal("services_unfit", 409)
    if time_needed(kinds, services) > MINUTES_MAX:
        raise Refusal("services_too_long", 409)


def is_plain(services: Sequence[Service]) -> bool:
    """Whether it is one procedure, once: a time of its counter, as it is."""
    return len(services) == 1 and services[0].quantity == 1


def say_services(kinds: Sequence[tuple[str, str, int]]) -> str:
    """``住民票の写し（2通）、印鑑登録``: for staff. Names, how they are counted, how many."""
    return "、".join(f"{name}（{quantity}{unit or 'つ'}）" if quantity > 1 else name for name, unit, quantity in kinds)
