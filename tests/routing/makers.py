"""Values for the tests of routing."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec

from services.routing.domain.catalogue import Counter, Procedure
from services.routing.domain.channels import Availability
from shared.town_pack import TownPack, read_town_pack

PACK_DIR = Path(__file__).with_name("pack")
TOWN, OTHER_TOWN = "143421", "143413"
HOST, OTHER_HOST = "ninomiya.test", "oiso.test"
# A Tuesday morning.
NOW = datetime(2026, 11, 24, 0, 10, tzinfo=UTC)

# No person of this name is in the catalogue, a log or an event: whoever finds it found a leak.
NAME, KANA = "𠮷田 﨑子", "ヨシダ サキコ"
EMAIL, PHONE = "sakiko@example.jp", "+819012345678"


def make_pack(municipality: str = TOWN, *, host: str = HOST) -> TownPack:
    """The tests' own small pack, as any town's."""
    pack = read_town_pack(PACK_DIR)
    town = msgspec.structs.replace(pack.town, code=municipality, hosts=(host,))
    return msgspec.structs.replace(pack, town=town)


def make_procedure(**changes: Any) -> Procedure:
    """児童手当, unless told otherwise."""
    values: dict[str, Any] = {
        "code": "CHI02",
        "name_ja": "児童手当の申請",
        "name_plain_ja": "子どもの お金",
        "name_en": "Child allowance",
        "kana": "ジドウテアテノシンセイ",
        "category": "子育て",
        "words": ("児童手当", "手当"),
        "office": "子育て",
        "online": "yes",
        "counter": "yes",
        "helper": "yes",
        "counter_minutes": 20,
        "fee_yen": 0,
        "items": ("name", "bank_account"),
        "identity": "mynumber_or_one",
        "source": "15 days",
        "counters": ("7",),
        "discreet": False,
        "bring": ("bankbook", "identity"),
        "bring_online": ("mynumber_card_pin", "bankbook"),
    }
    return Procedure(**(values | changes))


def make_counter(code: str = "7") -> Counter:
    return Counter(code=code, number=code, name_ja="子育て", office="子育て", place_ja=f"町役場 2階 {code}番")


def make_venue(code: str = "HALL") -> Counter:
    return Counter(code=code, number="", name_ja="公民館", office="公民館", place_ja="町民センター", kind="venue")


def make_availability(counter: str = "7", *, in_min: int | None = 60, now: datetime = NOW) -> Availability:
    """A counter that is free in so many minutes; None: full."""
    earliest_at = now + timedelta(minutes=in_min) if in_min is not None else None
    return Availability(counter=counter, earliest_at=earliest_at, as_of=now - timedelta(minutes=5))


def new_key() -> str:
    """An idempotency key as a page would draw it."""
    return str(uuid4())
