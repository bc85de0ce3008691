"""Somebody in a town, and the steps that their case can come to, for the tests of going on another way."""

from dataclasses import dataclass, field
from typing import Any

from tests.journeys.one_process import Browser, House, case_id_of, own_rows, seen_rows
from tests.routing.applying import CHI02_FORM
from tests.routing.files import make_picture
from tests.routing.makers import EMAIL, KANA, NAME, new_key

OK, SEE_OTHER, CONFLICT = 200, 303, 409
PROCEDURE = "CHI02"
WITH_PHOTOS = "DIS01"
WRITTEN = "もう一度、見てください。"
HALF = ("name", "birth_date_era", "birth_date_year", "birth_date_month", "birth_date_day", "phone")
# From each channel over both others and back, and between those: three times away from where one began.
ROUNDS = {
    "online": ("counter", "helper", "online", "helper", "counter", "online"),
    "counter": ("online", "helper", "counter", "helper", "online", "counter"),
    "helper": ("counter", "online", "helper", "online", "counter", "helper"),
}


@dataclass
class Place:
    """A town with somebody in it, and who works there."""

    house: House
    resident: Browser
    desk: Browser
    helper: Browser
    # The online form of each case as it was seen first.
    forms: dict[str, dict[str, str]] = field(default_factory=dict)

    async def scalar(self, sql: str, *values: object) -> Any:
        [row] = await self.house.town.rows(sql, *values)
        return row[0]

    async def given(self, case: str) -> dict[str, str]:
        """What was given in the case, as the counter sees it."""
        page = await self.desk.get(f"/office/cases/{case_id_of(case)}/fragment")
        assert page.status_code == OK, page.text
        return seen_rows(page.text)

    async def own(self) -> dict[str, str]:
        """What the person has given, as they see it."""
        return own_rows((await self.resident.get("/my/data")).text)

    async def held(self) -> int:
        held: int = await self.scalar("SELECT count(*) FROM booking.place WHERE hold_id IS NOT NULL")
        return held

    async def booked(self, case: str) -> dict[str, str]:
        """The states of the case's appointments by their channel, as booking has them; cancelled ones are over."""
        rows = await self.house.town.rows(
            "SELECT helper, state FROM booking.appointment WHERE case_id = $1 AND state <> 'cancelled'",
            case_id_of(case),
        )
        return {"counter" if row["helper"] == "none" else "helper": row["state"] for row in rows}

    async def case_now(self, case: str) -> tuple[str, str]:
        [row] = await self.house.town.rows(
            "SELECT channel, state FROM routing.case_file WHERE case_id = $1", case_id_of(case)
        )
        return row["channel"], row["state"]

    async def switch(self, browser: Browser, case: str, channel: str) -> None:
        """By the button that the page of the ways has."""
        await browser.get(f"{case}/ways")
        await browser.press("/channel", channel=channel)
        assert browser.page.status_code == OK, (case, channel, browser.text[-1500:])
        await self.house.town.deliver()
        assert (await self.case_now(case))[0] == channel

    async def office(self, case: str, *actions: str) -> None:
        """The office's steps with what was sent."""
        application_id = await self.scalar(
            "SELECT application_id FROM routing.application WHERE case_id = $1", case_id_of(case)
        )
        path = f"/office/applications/{application_id}"
        await self.desk.get(path)
        for action in actions:
            await self.desk.send(f"/{action}", reason=WRITTEN, visit=WRITTEN, refusal=WRITTEN)
            assert self.desk.page.status_code == OK, (action, self.desk.text[-1500:])
        await self.house.town.deliver()


# --- the steps ---


async def begun_online(place: Place) -> str:
    return await place.resident.begin(PROCEDURE, "online")


async def begun_at_a_counter(place: Place) -> str:
    return await place.resident.begin(PROCEDURE, "counter")


async def person_chosen(place: Place) -> str:
    case = await begun_online(place)
    await place.resident.get(f"{case}/form")
    await place.resident.post(f"{case}/person", {"person": "new"})
    return case


async def reuse_answered(place: Place) -> str:
    await sent(place)
    case = await place.resident.begin("CHI03", "online")
    assert place.resident.path == f"{case}/reuse", place.resident.path
    await place.resident.press("/reuse", all="yes")
    return case


async def form_half_filled(place: Place) -> str:
    """What is right on it goes along with the button of another way."""
    case = await begun_online(place)
    await place.resident.post(f"{case}/channel", {key: CHI02_FORM[key] for key in HALF} | {"channel": "counter"})
    assert "次のことは、まだ保存していません" not in place.resident.text
    await place.switch(place.resident, case, "online")
    return case


async def form_filled(place: Place) -> str:
    case = await begun_online(place)
    await place.resident.get(f"{case}/form")
    await place.resident.send("/form", **CHI02_FORM)
    return case


async def ready_to_send(place: Place) -> str:
    case = await form_filled(place)
    if place.resident.path.endswith("/you"):
        await place.resident.send("/you", reach="email", email=EMAIL)
    assert place.resident.path == f"{case}/check", place.resident.path
    return case


async def name_told(place: Place) -> str:
    case = await begun_at_a_counter(place)
    await place.resident.get(f"{case}/you")
    await place.resident.send("/you", name=NAME, kana=KANA, reach="email", email=EMAIL)
    assert place.resident.path == f"{case}/handover"
    return case


async def handed_over(place: Place) -> str:
    case = await name_told(place)
    await place.resident.send("/handover", all="yes")
    assert place.resident.path == f"{case}/pass"
    return case


async def place_held(place: Place) -> str:
    case = await name_told(place)
    await place.resident.hand_over(case)
    await place.resident.hold()
    assert await place.held() == 1
    return case


async def booked_at_a_counter(place: Place) -> str:
    case = await name_told(place)
    await place.resident.book(case)
    await place.house.town.deliver()
    return case


async def booked_with_a_helper(place: Place) -> str:
    case = await place.resident.begin(PROCEDURE, "helper")
    await place.resident.get(f"{case}/you")
    await place.resident.send("/you", name=NAME, kana=KANA, reach="none")
    await place.resident.book(case)
    await place.house.town.deliver()
    return case


async def file_attached(place: Place) -> str:
    """A photo beside what was typed."""
    case = await place.resident.begin(WITH_PHOTOS, "online")
    await place.resident.get(f"{case}/form")
    own = {key: text for key, text in CHI02_FORM.items() if key.startswith(("name", "address", "phone"))}
    await place.resident.send("/form", **own)
    assert place.resident.path == f"{case}/attachments", place.resident.path
    fields = {"item": "photos", "idempotency_key": new_key(), "label": "屋根"}
    files = {"file": ("photo.jpg", make_picture(), "image/jpeg")}
    await place.resident.http.post(f"{case}/attachments", data=fields, files=files)
    assert "写真1まい" in (await place.given(case)).values()
    return case


async def sent(place: Place) -> str:
    case = await ready_to_send(place)
    await place.resident.press("/submit", notices="yes")
    assert place.resident.path.startswith("/applications/"), place.resident.path
    await place.house.town.deliver()
    return case


async def accepted(place: Place) -> str:
    case = await sent(place)
    await place.office(case, "accept")
    return case


async def correction_asked(place: Place) -> str:
    case = await sent(place)
    await place.office(case, "ask-correction")
    return case


async def visit_asked(place: Place) -> str:
    case = await sent(place)
    await place.office(case, "ask-visit")
    return case


async def visit_asked_and_booked(place: Place) -> str:
    case = await visit_asked(place)
    await place.resident.post(f"{case}/visit", {})
    await place.resident.book(case)
    await place.house.town.deliver()
    return case


async def wished_and_booked(place: Place) -> str:
    """The person said by themselves that they come to the counter with what was sent."""
    case = await accepted(place)
    await place.switch(place.resident, case, "counter")
    assert "送った申請は、そのままです" in place.resident.text
    await place.resident.book(case)
    await place.house.town.deliver()
    return case
