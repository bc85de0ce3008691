"""The town of a seed: two counters and a venue, three procedures, two helpers, and slots for three days."""

from datetime import UTC, datetime, time

from shared.town_pack import BookingRules, Counter, NoticeRules, Opening, Procedure, TownFacts, TownPack, Venue

CHILD, FAMILY, PHONE_HELP = "CHI02", "RES02", "DIG01"
HALL = "HALL"
PUBLIC_URL = "https://simulated.example.jp"
# The signs of whoever is simulated: in no event, queue, delivery, inbox or due row may any of them be.
SIGNS = ("模擬", "モギ", "mogi@", "+8190", "字なぎさ")
# Days on which something changes: month ends, a leap day, holidays, and the closed days around New Year.
MORNINGS = tuple(
    datetime(*day, 23, 30, tzinfo=UTC)
    for day in (
        (2026, 5, 31),
        (2026, 9, 17),
        (2026, 12, 27),
        (2027, 1, 3),
        (2027, 4, 27),
        (2027, 1, 28),
        (2028, 2, 27),
        (2026, 10, 8),
    )
)
# How many appointments ahead somebody may have: one of these.
MOST_AHEAD = (1, 2)
OPENS, CLOSES, SLOT_MIN = 9, 17, 240


def make_pack(code: str, most_ahead: int) -> TownPack:
    """Few slots a day, so that places are scarce; whoever has `most_ahead` appointments ahead gets no more."""
    return TownPack(
        town=TownFacts(code, "模型町", "モケイマチ", "Model", "0463-71-3311", "模型1", (f"{code.lower()}.localhost",)),
        counters=(
            Counter("7", "7", "子育て", "子育て", "町役場 2階 7番", SLOT_MIN, 2, 0),
            Counter("3", "3", "届出", "戸籍", "町役場 1階 3番", SLOT_MIN, 1, 0),
        ),
        venues=(Venue(HALL, "公民館", "町民センター", "公民館", SLOT_MIN),),
        opening=(Opening(("7", "3", HALL), (1, 2, 3, 4, 5), time(OPENS), time(CLOSES)),),
        closures=(),
        booking=BookingRules(horizon_days=2, notice_min=0, hold_min=5, max_open_appointments=most_ahead),
        notices=NoticeRules(reminders_before_min=(120,)),
        procedures=(
            _procedure(CHILD, "児童手当の申請", "子育て", online="yes", counters=("7",)),
            _procedure(FAMILY, "転入届", "戸籍", counters=("3",)),
            _procedure(PHONE_HELP, "スマホ相談", "公民館", helper="yes"),
        ),
    )


def _procedure(
    code: str, name: str, office: str, *, online: str = "no", helper: str = "no", counters: tuple[str, ...] = ()
) -> Procedure:
    return Procedure(
        code=code,
        name_ja=name,
        name_plain_ja=name,
        name_en=code,
        office=office,
        online=online,  # type: ignore[arg-type]
        counter="yes" if counters else "no",
        helper=helper,  # type: ignore[arg-type]
        counter_minutes=30,
        fee_yen=0,
        items=("name", "phone"),
        identity="one",
        bring=(),
        bring_online=(),
        deadline="",
        source="",
        counters=counters,
        kana="テツヅキ",
        category="くらし",
        words=(),
        discreet=False,
    )
