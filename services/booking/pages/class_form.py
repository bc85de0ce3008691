"""The forms of a class: what is typed becomes an order, and an order, or what there is, is shown to be changed."""

from datetime import date, datetime, time, timedelta
from typing import Any

from services.booking.commands.class_times import MATERIALS_MAX_LENGTH, ROOM_MAX_LENGTH, SessionOrder
from services.booking.commands.classes import TEXT_MAX_LENGTH, TITLE_MAX_LENGTH, ClassOrder
from services.booking.domain.classes import AHEAD_MAX, FEE_YEN_MAX, MODES, SEATS_MAX, Mode
from services.booking.pages.wording import minute_label
from services.booking.queries.classes import ClassView, SessionView
from shared.clock import JST, jst_day
from shared.web.forms import Form
from shared.web.i18n import gettext as _

# Half hours of a day on which anything is open.
FIRST_MIN, LAST_MIN, STEP_MIN = 8 * 60, 21 * 60, 30
USUAL = {"from": 10 * 60, "to": 11 * 60 + 30, "closes": 17 * 60}
USUAL_SEATS = 10
# A class that is being made: until when people usually enter, and when it usually is.
USUAL_ENTRIES, USUAL_AHEAD = timedelta(days=14), timedelta(days=21)
LANGUAGES = ("ja", "ja-easy", "en")
CODE_MAX_LENGTH, CODES_MAX = 40, 20


def times() -> list[dict[str, str]]:
    """The times of day that can be chosen."""
    return [{"value": str(at), "label": minute_label(at)} for at in range(FIRST_MIN, LAST_MIN + 1, STEP_MIN)]


def empty_class(*, now: datetime) -> dict[str, str]:
    """The form of a class that is not made yet."""
    closes = jst_day(now) + USUAL_ENTRIES
    fields = {"seats": str(USUAL_SEATS), "mode": MODES[0], "fee": "0", "language": LANGUAGES[0]}
    return fields | _day_fields("closes", closes) | {"closes_at": str(USUAL["closes"])}


def fill_class(found: ClassView) -> dict[str, str]:
    """The form of a class as it is."""
    closes = found.closes_at.astimezone(JST)
    return {
        "title": found.title_ja,
        "text": found.text_ja,
        "topics": " ".join(found.topics),
        "procedures": " ".join(found.procedures),
        "venue": found.venue,
        "seats": str(found.seats),
        "mode": found.mode,
        "language": found.language,
        "fee": str(found.fee_yen),
        "closes_at": str(_minute(closes)),
    } | _day_fields("closes", closes.date())


def read_class(form: Form, *, fixed: ClassView | None = None, now: datetime) -> ClassOrder | None:
    """What was typed; None when something is to be corrected. `fixed`: of what is published, seats and draw stay."""
    title = form.text("title", max_length=TITLE_MAX_LENGTH)
    about = form.long_text("text", max_length=TEXT_MAX_LENGTH, required=False)
    venue = form.text("venue", max_length=CODE_MAX_LENGTH)
    language = form.choice("language", LANGUAGES)
    fee = form.number("fee", lowest=0, highest=FEE_YEN_MAX)
    seats, mode, closes_at = (fixed.seats, fixed.mode, fixed.closes_at) if fixed else _read_fixed(form, now=now)
    if not form.ok:
        return None
    return ClassOrder(
        title_ja=title,
        text_ja=about,
        topics=_codes(form.value("topics")),
        procedures=_codes(form.value("procedures")),
        venue=venue,
        seats=seats,
        mode=mode,
        closes_at=closes_at,
        language=language,
        fee_yen=int(fee),
    )


def _read_fixed(form: Form, *, now: datetime) -> tuple[int, Mode, datetime]:
    seats = form.number("seats", lowest=1, highest=SEATS_MAX)
    mode: Mode = "draw" if form.choice("mode", MODES) == "draw" else "first_come"
    return int(seats or 0), mode, _read_moment(form, "closes", "closes_at", now=now) or now


def session_fields(each: SessionView | None, *, number: int = 0, now: datetime) -> dict[str, Any]:
    """The fields of one session on a page with many: each form has names of its own."""
    if each is None:
        starts, ends = None, None
        day, room, materials = jst_day(now) + USUAL_AHEAD, "", ""
    else:
        starts, ends = each.starts_at.astimezone(JST), each.ends_at.astimezone(JST)
        day, room, materials = starts.date(), each.room_ja, each.materials_ja
    return {
        "prefix": f"s{number}_",
        "day": {"year": str(day.year), "month": str(day.month), "day": str(day.day)},
        "from": str(_minute(starts) if starts else USUAL["from"]),
        "to": str(_minute(ends) if ends else USUAL["to"]),
        "room": room,
        "materials": materials,
        "times": times(),
    }


def read_session(fields: dict[str, str], *, now: datetime) -> SessionOrder | None:
    """What was typed of one session; None when it cannot be read."""
    prefix = fields.get("prefix", "")
    form = Form({name.removeprefix(prefix): value for name, value in fields.items() if name.startswith(prefix)})
    starts_at = _read_moment(form, "day", "from", now=now)
    ends_at = _read_moment(form, "day", "to", now=now)
    room = form.text("room", max_length=ROOM_MAX_LENGTH, required=False)
    materials = form.long_text("materials", max_length=MATERIALS_MAX_LENGTH, required=False)
    if not form.ok or starts_at is None or ends_at is None:
        return None
    return SessionOrder(starts_at=starts_at, ends_at=ends_at, room_ja=room, materials_ja=materials)


def _read_moment(form: Form, day_name: str, time_name: str, *, now: datetime) -> datetime | None:
    day = form.day(day_name, earliest=jst_day(now), latest=jst_day(now) + AHEAD_MAX)
    minute = form.number(time_name, lowest=FIRST_MIN, highest=LAST_MIN)
    if not day or not minute:
        return None
    return datetime.combine(date.fromisoformat(day), time(*divmod(int(minute), 60)), JST)


def _day_fields(name: str, day: date) -> dict[str, str]:
    return {f"{name}_year": str(day.year), f"{name}_month": str(day.month), f"{name}_day": str(day.day)}


def _minute(moment: datetime) -> int:
    return moment.hour * 60 + moment.minute


def _codes(typed: str) -> tuple[str, ...]:
    """Several boxes of one name come joined by a space."""
    return tuple(dict.fromkeys(code[:CODE_MAX_LENGTH] for code in typed.split()[:CODES_MAX]))


def mode_options() -> list[dict[str, str]]:
    """How seats are given out."""
    return [
        {"value": "first_come", "label": _("先着順"), "hint": _("席がうまったあとは、空きを待つ列になります。")},
        {"value": "draw", "label": _("抽選"), "hint": _("申し込みの終わりに抽選します。最初の回の24時間前までです。")},
    ]
