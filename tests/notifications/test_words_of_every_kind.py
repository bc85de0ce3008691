"""What holds of every notice: by every channel, in every language, in our words and in a town's own."""

import re
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from types import SimpleNamespace
from typing import Any, get_args
from urllib.parse import urlsplit

import msgspec
import pytest

from services.notifications.domain.notices import CLASS_NOTICES, OF_ACCOUNTS, WITHOUT_TEXTS, Kind
from services.notifications.domain.words import OwnText
from services.notifications.orders import Order
from services.notifications.queries_of_templates import LANGUAGES, TownFacts
from services.notifications.rendering import render, render_calendar, say
from services.notifications.samples import CASES, Case, cases_of, make_sample
from shared.sms_parts import count_parts
from shared.town_pack.templates import CHANNELS, READ_BY_OTHERS, Channel, channels_of, names_for, parts_max
from shared.town_texts import TownText
from tests.notifications.harness import EMAIL, NOW, TOWN

KINDS: tuple[Kind, ...] = get_args(Kind)
HOST = "ninomiya.example.jp"
# What a discreet procedure and its counter are called, in every language; and what belongs to it.
TELLING = ("おくやみ", "亡", "Bereav", "bereav", "福祉", "Welfare", "welfare", "死亡診断書", "ふくし")
TEXTS = {
    "おくやみ手続き": TownText(easy="亡くなった 人の 手続き", en="Bereavement"),
    "福祉・おくやみ": TownText(easy="ふくし", en="Welfare"),
    "町役場 1階 おくやみコーナー": TownText(easy="役場の 1階 おくやみ", en="Hall, 1F, bereavement corner"),
    "死亡診断書": TownText(easy="亡くなった ことの 紙", en="Bereavement paper"),
}


def facts(**changes: Any) -> TownFacts:
    town = SimpleNamespace(
        municipality=TOWN, name_ja="二宮町", phone="0463-71-3311", public_url=f"https://{HOST}", address_ja="二宮961"
    )
    procedure = SimpleNamespace(
        code="X", name_ja="児童手当", office="子育て", discreet=False, bring=["預金通帳"], fee_yen=300
    )
    discreet = SimpleNamespace(
        code="Y", name_ja="おくやみ手続き", office="福祉", discreet=True, bring=["死亡診断書"], fee_yen=0
    )
    counter = SimpleNamespace(code="7", number="7", name_ja="子育て", place_ja="町役場 2階")
    known: dict[str, Any] = {
        "town": town,
        "offices": (),
        "procedures": (procedure, discreet),
        "counters": (counter,),
        "texts": TEXTS,
    }
    return TownFacts(**(known | changes))


def own_of_everything(kind: Kind) -> dict[str, tuple[OwnText, ...]]:
    """For each channel a text for each of the names that it may have, so that a hole in one hides nothing. What is told
    of somebody's own ways is said in our words alone."""
    if kind in WITHOUT_TEXTS:
        return {}
    return {
        channel: tuple(
            OwnText(whose="town", text=f"{{{name}}}", version=number)
            for number, name in enumerate(names_for(kind, channel), start=1)
        )
        for channel in channels_of(kind)
    }


def samples(case: Case | None = None, town: TownFacts | None = None) -> Iterator[tuple[Order, Channel]]:
    """An order of every kind, case and language, with each of its channels, in our words."""
    for kind in KINDS:
        for each in cases_of(kind):
            for language in LANGUAGES if case in (None, each) else ():
                order = make_sample(kind, each, language, town or facts(), own={}, now=NOW)
                for channel in CHANNELS:
                    yield order, channel


def in_own_words(order: Order, channel: Channel) -> Iterator[str]:
    """What is said for each of the names that its kind knows."""
    for own in own_of_everything(order.kind).get(channel, ()):
        yield say(msgspec.structs.replace(order, own={channel: (own,)}), channel)


def everything_said(order: Order, channel: Channel) -> str:
    said = [say(order, channel), *in_own_words(order, channel)]
    if channel == "email" and order.appointment_id and order.starts_at:
        calendar = render_calendar(msgspec.structs.replace(order, address=EMAIL), "REQUEST", EMAIL).decode()
        said.append(calendar.replace("\r\n ", "").replace("\\n", "\n"))
    return "\n".join(said)


def at_the_telling_counter(order: Order, *, discreet: bool) -> Order:
    return msgspec.structs.replace(
        order,
        procedure_name="おくやみ手続き",
        discreet=discreet,
        bring=("死亡診断書",),
        counter_number="6",
        counter_name="福祉・おくやみ",
        place="町役場 1階 おくやみコーナー",
    )


def test_what_is_discreet_is_told_by_no_word_of_any_message() -> None:
    """Neither its name nor its counter's, its place's or its papers', in every kind, channel and language.

    Seen to fail with `order.bring` for `{things}`: the papers of a death told of it; and with the place as it is.
    """
    count = 0
    for order, channel in samples():
        hidden = at_the_telling_counter(order, discreet=True)
        said = everything_said(hidden, channel)
        assert [word for word in TELLING if word in said] == [], (order.kind, channel, order.language, said)
        count += 1
    assert count >= len(KINDS) * len(LANGUAGES) * len(CHANNELS)


def test_a_name_that_tells_stands_in_no_subject_and_on_no_locked_screen() -> None:
    """Also where a town did not think of saying that the procedure is discreet. Seen to fail without `_tells`."""
    for order, channel in samples():
        if channel not in READ_BY_OTHERS:
            continue
        telling = msgspec.structs.replace(at_the_telling_counter(order, discreet=False), place="町役場 1階")
        said = everything_said(telling, channel)
        assert [word for word in ("おくやみ", "Bereav", "福祉", "Welfare") if word in said] == [], (order.kind, said)


def test_every_link_leads_to_the_towns_own_host() -> None:
    links = 0
    for order, channel in samples():
        for link in re.findall(r"[a-z]+://\S+", everything_said(order, channel), re.IGNORECASE):
            assert (urlsplit(link).scheme, urlsplit(link).hostname) == ("https", HOST), (order.kind, channel, link)
            links += 1
    assert links > len(KINDS) * len(LANGUAGES)


def test_every_day_has_its_weekday_and_in_mails_and_letters_its_era() -> None:
    days = 0
    for order, channel in samples():
        said = "\n".join([say(order, channel), *in_own_words(order, channel)])
        if order.language == "en":
            for found in re.finditer(r"(\w{3}, )?\d{1,2} (Nov|Dec)\b", said):
                assert found[1], (order.kind, channel, said)
                days += 1
            continue
        for found in re.finditer(r"(年（令和8年）)?\d+月\d+日(（[月火水木金土日]）)?", said):
            assert found[2], (order.kind, channel, said)
            assert found[1] or channel in READ_BY_OTHERS, (order.kind, channel, said)
            days += 1
    assert days > len(KINDS)


# 60 letters: of two units each, of several code points each, with marks that combine, with what is no text at all.
ODD = {
    "long": "長" * 60,
    "outside the plane": "𠮷" * 60,
    "emoji": "👨\u200d👩\u200d👧" * 12,
    "combining": "か\u3099" * 30,
    "a header": "町\r\nBcc: somebody@example.jp\r\n\r\nbody",
    "one line feed": "町\nBcc: somebody@example.jp",
    "a template": "{{ 7 * 7 }}{% set x = 1 %}{# #}",
    "a name": "{number}{code}%(number)s%s",
    "markup": "<b>&amp;</b>\"'",
    "right to left": "\u202eabc",
}


@pytest.mark.parametrize("odd", ODD)
def test_long_and_odd_names_make_whole_messages(odd: str) -> None:
    """Every mail can be read back with the headers that it was given and no other; no SMS grows beyond its parts."""
    name = ODD[odd]
    for order, channel in samples("usual"):
        strange = msgspec.structs.replace(
            order,
            procedure_name=name,
            counter_number="7",
            counter_name=name,
            place=name,
            title=name if order.kind in CLASS_NOTICES.values() else order.title,
            message_subject=name,
            address=EMAIL,
        )
        if channel == "sms":
            text = say(strange, "sms")
            assert count_parts(text) <= parts_max(order.kind) or order.kind in _ONLY_WRITTEN, (order.kind, text)
        if channel != "email":
            assert say(strange, channel)
            continue
        for own in (strange, msgspec.structs.replace(strange, own=own_of_everything(order.kind))):
            mail = message_from_bytes(render(own, mail_from="").content, policy=policy.SMTP)
            assert isinstance(mail, EmailMessage)
            assert mail["Bcc"] is None
            assert len(mail.get_all("Subject", [])) == 1
            assert "\n" not in str(mail["Subject"])
            assert set(mail.keys()) <= _HEADERS, mail.keys()
            assert "49" not in str(mail["Subject"])


# What a coordinator wrote is the message: in brief it is the subject and where to call.
_ONLY_WRITTEN: tuple[Kind, ...] = ("helper_message",)
_HEADERS = {
    "Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted", "Content-Type", "Content-Transfer-Encoding",
    "MIME-Version",
}  # fmt: skip


def test_a_town_with_an_odd_name_is_no_header_of_its_own() -> None:
    """Seen to fail with the name as it is: the mail cannot be made."""
    for name in ODD.values():
        order = make_sample("confirmation", "usual", "ja", facts(), own={}, now=NOW)
        mail = message_from_bytes(
            render(msgspec.structs.replace(order, town_name=name, address=EMAIL), mail_from="").content,
            policy=policy.SMTP,
        )
        assert mail["Bcc"] is None


def test_nothing_in_a_name_is_looked_up() -> None:
    for order, channel in samples("usual"):
        said = say(msgspec.structs.replace(order, procedure_name=ODD["a template"], place=ODD["a name"]), channel)
        assert "49" not in said.replace(order.number, "")
        assert "{{" in said or ODD["a template"] not in said


def test_a_letter_speaks_of_nothing_to_tap_and_a_locked_screen_shows_no_code() -> None:
    for order, channel in samples():
        said = say(order, channel)
        if channel == "letter" and order.kind not in (*OF_ACCOUNTS, *WITHOUT_TEXTS):
            assert str(order.link_token) not in said, (order.kind, said)
            assert "メール" not in said
        if channel in READ_BY_OTHERS and order.kind not in ("sign_in", "contact_code"):
            assert str(order.code) not in said, (order.kind, said)


def test_there_is_a_sample_of_every_case() -> None:
    assert {case for kind in KINDS for case in cases_of(kind)} == set(CASES)
