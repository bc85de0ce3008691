"""What a town says itself in its notices: filled in, and ours where it would have a hole or say too little."""

from datetime import timedelta
from typing import Any, get_args

import msgspec
import pytest

from services.notifications.domain.notices import WITHOUT_TEXTS, Kind
from shared.events.routing import TemplateEntry
from shared.sms_parts import PARTS_MAX, count_parts
from shared.town_pack.templates import NOTICE_KINDS, PLACEHOLDERS
from tests.notifications.harness import CODE, LINK_TOKEN, OTHER_TOWN, TOWN, Notifications

LINK = f"https://ninomiya.example.jp/booking/a/{LINK_TOKEN}"


def template(kind: str = "confirmation", language: str = "ja", **texts: str) -> TemplateEntry:
    return TemplateEntry(kind=kind, language=language, **texts)


async def publish(
    service: Notifications, *templates: TemplateEntry, version: int = 2, municipality: str = TOWN
) -> None:
    event = service.catalogue(municipality=municipality, version=version)
    await service.hear(msgspec.structs.replace(event, templates=templates))


async def book(service: Notifications, reach: Any, language: str = "ja", **booking: Any) -> Any:
    contact = service.contact(reach, language=language)
    await service.hear(contact, service.booked(contact, **booking))
    await service.settle()
    return max(service.sink.messages(channel=reach), key=lambda sent: sent.number)


def test_the_kinds_of_a_pack_are_those_that_are_sent() -> None:
    """But of what is told about the person's own ways: that is never a town's to word."""
    assert set(NOTICE_KINDS) == set(get_args(Kind)) - set(WITHOUT_TEXTS) == set(PLACEHOLDERS)


async def test_a_town_says_it_itself_with_what_it_names(service: Notifications) -> None:
    own = "{town}です。\n{when} {place}\n{procedure} {things}\n{number} {code}\n{link}\n{phone}\n"
    await publish(
        service, template(subject="【{town}】お待ちしています {number}", long=own, short="まつ {number} {link}")
    )
    mail = await book(service, "email")
    assert "【二宮町】お待ちしています NNN-1042" in mail.subject
    for said in (
        "二宮町です。",
        "11月27日（金）",
        "町役場 2階 7番",
        "児童手当 預金通帳",
        f"NNN-1042 {CODE}",
        LINK,
        "0463-71-3311",
    ):
        assert said in mail.text, said
    assert "5分前までに" not in mail.text
    assert (await book(service, "sms")).text == f"まつ NNN-1042 {LINK}"
    # The calendar goes along as ever, and nothing says it for who reads another language.
    assert mail.calendar is not None
    assert "お待ちしています" not in ((await book(service, "email", "en")).subject or "")


async def test_each_reader_is_told_in_their_language_and_each_town_says_its_own(service: Notifications) -> None:
    easy = template(language="ja-easy", short="予約《よやく》 {number} {link}")
    await publish(
        service, template(short="予約 {number} {link}"), easy, template(language="en", short="See you {number} {link}")
    )
    await publish(service, template(short="となり {number} {link}"), municipality=OTHER_TOWN)
    assert (await book(service, "sms")).text == f"予約 NNN-1042 {LINK}"
    # In a message no word has its reading above it.
    assert (await book(service, "sms", "ja-easy")).text == f"予約 NNN-1042 {LINK}"
    assert (await book(service, "sms", "en")).text == f"See you NNN-1042 {LINK}"


async def test_a_text_with_a_hole_is_not_sent(service: Notifications) -> None:
    """Seen to fail where nothing is filled in as nothing: 「」の予約."""
    await publish(service, template(long="「{procedure}」の予約 {number} {when} {link}\n", subject="{procedure}"))
    discreet = await book(service, "email", procedure="OKU01", counter="0")
    assert "予約ができました。" in discreet.text
    assert "おくやみ" not in discreet.text + discreet.subject
    assert "「」" not in discreet.text


async def test_what_the_usual_text_cannot_know_is_said_in_our_words(service: Notifications) -> None:
    await publish(
        service, template(short="まつ {number} {link}"), template("closure", short="休み {number} {when} {link}")
    )
    contact = service.contact("sms")
    booked = msgspec.structs.replace(service.booked(contact), helper="asked")
    await service.hear(contact, booked)
    await service.settle()
    assert "予約できました" in service.sink.messages(channel="sms")[-1].text


async def test_a_towns_words_for_signing_in_are_not_for_a_number_that_proves_a_contact(service: Notifications) -> None:
    """Seen to fail without the look in `_is_usual`."""
    await publish(service, template("sign_in", short="{town} ログイン {code}"))
    await service.hear(service.account(), service.sign_in_asked(), service.sign_in_asked(purpose="prove"))
    await service.settle()
    said = sorted(message.text for message in service.sink.messages())
    assert f"二宮町 ログイン {CODE}" in said
    assert sum("連絡先を確かめる番号" in text for text in said) == 1


async def test_an_sms_that_became_too_long_is_sent_in_our_words(service: Notifications) -> None:
    await publish(service, template(short="あ" * 150 + " {number} {link}"))
    sent = await book(service, "sms")
    assert "予約できました" in sent.text
    assert count_parts(sent.text) <= PARTS_MAX


async def test_whose_words_were_told_is_written_down_as_the_gateway_that_took_it_counts(service: Notifications) -> None:
    """Too long for who counts characters, short enough for who counts bytes: what is written down is what was said.

    Seen to fail while both were counted as most do: the words were called ours.
    """
    await publish(service, template(short="N" * 180 + " {number} {link}"))
    assert "予約できました" in (await book(service, "sms")).text
    url = service.sink.sms_form_url
    await service.restart_sending(sms_gateway_dialect="form", sms_gateway_url=url, sms_gateway_user="town")
    service.now += timedelta(minutes=1)
    assert (await book(service, "sms")).text.startswith("NNN")
    rows = await service.rows("SELECT provider, words FROM attempt ORDER BY started_at")
    assert [(row.provider, [used["whose"] for used in row.words]) for row in rows] == [
        ("sms_gateway", ["ours"]), ("sms_form", ["pack"]),
    ]  # fmt: skip
    await service.close_senders()


@pytest.mark.parametrize(
    "said",
    ["{{ 7 * 7 }}", "{% for x in order %}{% endfor %}", "%(number)s", "{order.address}", "{number!r}", "{0}"],
)
async def test_nothing_in_a_text_is_more_than_a_text(service: Notifications, said: str) -> None:
    """Seen to fail with `str.format` in the place of `fill`: it reads what stands behind a name."""
    await publish(service, template(short=f"{said} {{number}} {{link}}"))
    assert (await book(service, "sms")).text == f"{said} NNN-1042 {LINK}"


async def test_a_name_that_is_none_is_not_sent(service: Notifications) -> None:
    await publish(service, template(short="{__class__} {number} {link}"))
    assert "予約できました" in (await book(service, "sms")).text


async def test_what_is_filled_in_is_not_filled_in_again(service: Notifications) -> None:
    event = service.catalogue(version=2, name="{code}町")
    await service.hear(msgspec.structs.replace(event, templates=(template(short="{town} {number} {link}"),)))
    assert (await book(service, "sms")).text == f"{{code}}町 NNN-1042 {LINK}"


async def test_no_line_break_makes_a_header(service: Notifications) -> None:
    """The pack's check refuses it; seen to fail where its lines are not joined: the mail cannot be made."""
    await publish(service, template(subject="予約\nBcc: somebody@example.jp {number}"))
    mail = await book(service, "email")
    assert mail.subject == "予約 Bcc: somebody@example.jp NNN-1042"


async def test_a_town_that_takes_its_words_back_is_said_in_ours_again(service: Notifications) -> None:
    await publish(service, template(short="まつ {number} {link}"))
    await publish(service, version=3)
    assert "予約できました" in (await book(service, "sms")).text
