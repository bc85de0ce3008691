"""What another system asks for, looked at before it is accepted: everything that is wrong with it at once."""

from collections.abc import Iterator, Mapping
from datetime import datetime

import msgspec

from services.notifications.domain.asked import Mistake, NoticeAsked, Recipient, Words
from services.notifications.domain.notices import TOWN_NOTICE
from services.notifications.domain.references import (
    has_mail_address,
    has_my_number,
    is_visible,
    like_phones,
)
from services.notifications.domain.systems import (
    REFERENCE_MAX_LENGTH,
    USEFUL_MAX,
    USEFUL_MIN,
)
from services.notifications.queries_of_systems import System
from services.notifications.queries_of_templates import LANGUAGES, TownFacts
from services.notifications.rendering import say
from services.notifications.samples import make_sample
from services.notifications.senders.text_limit import UCS2_PARTS
from shared.reference_number import APPLICATION_LENGTH, TICKET_LENGTH, read_number
from shared.sms_parts import PARTS_MAX
from shared.town_pack.checking_texts import has_unseen, links_elsewhere
from shared.town_pack.templates import MAX_LENGTHS, telling_in
from shared.web.forms import Form

# Stands for what is written, in an SMS as it is sent.
_WRITTEN = "\u241f"
# How long each may be.
_MAX = {"subject": MAX_LENGTHS["email_subject"], "body": MAX_LENGTHS["email"], "short": MAX_LENGTHS["sms"]}


class TownChecks(msgspec.Struct, frozen=True, kw_only=True):
    """What the check has to know of a town: read once for each version of its catalogue.

    `frames`: by language, an SMS around its short text, and around its subject where there is none.
    """

    version: int
    hosts: frozenset[str]
    discreet: tuple[str, ...]
    frames: Mapping[str, tuple[str, str]]

    def sms_parts(self, language: str, words: Words) -> int:
        """In how many parts an SMS to a reader of a language is sent."""
        full, brief = self.frames[language]
        text = full.replace(_WRITTEN, words.short) if words.short else brief.replace(_WRITTEN, words.subject)
        # One that is too long is said as its subject alone.
        return min(UCS2_PARTS.count(text), PARTS_MAX)


def make_checks(facts: TownFacts, *, now: datetime) -> TownChecks:
    """Of a town as it is known now."""
    known, frames = facts.known(), {}
    for language in LANGUAGES:
        sample = make_sample(TOWN_NOTICE, "usual", language, facts, own={}, now=now)
        full = msgspec.structs.replace(sample, reach="sms", message_short=_WRITTEN)
        brief = msgspec.structs.replace(sample, reach="sms", message_subject=_WRITTEN, message_short="")
        frames[language] = (say(full, "sms"), say(brief, "sms"))
    return TownChecks(version=facts.town.version, hosts=known.hosts, discreet=known.discreet, frames=frames)


class Address(msgspec.Struct, frozen=True):
    """Where it goes, as it is kept: normalised, or the number as it is stored."""

    kind: str
    value: str

    def __repr__(self) -> str:
        # Never what is in it: a representation ends up in logs.
        return f"Address({self.kind})"


def problems_of(
    asked: NoticeAsked, address: Address | None, system: System, checks: TownChecks, *, now: datetime
) -> list[Mistake]:
    """Everything that is wrong with it, as far as it can be seen without looking anything up."""
    found = list(_of_recipient(asked.recipient, address, system))
    if asked.kind not in system.kinds:
        found.append(Mistake("/kind", "not_allowed", "this system may not ask for notices of this kind"))
    for language, words in asked.texts.each():
        found += _of_words(f"/texts/{language}", words, checks)
        text = checks.frames[language][0].replace(_WRITTEN, words.short)
        if words.short and not UCS2_PARTS.has_room(text, PARTS_MAX):
            found.append(Mistake(f"/texts/{language}/short", "sms_parts", f"an SMS of more than {PARTS_MAX} parts"))
    if asked.useful_until is not None and not now + USEFUL_MIN <= asked.useful_until <= now + USEFUL_MAX:
        say_when = f"from {USEFUL_MIN.seconds // 60} minutes to {USEFUL_MAX.days} days ahead"
        found.append(Mistake("/useful_until", "out_of_range", say_when))
    if asked.reference is not None:
        found += _of_reference(asked.reference)
    return found


def address_of(recipient: Recipient) -> Address | None:
    """The address of a recipient, or the number; None: it is none."""
    named = recipient.named()
    if len(named) != 1:
        return None
    [kind] = named
    if kind == "number":
        typed = recipient.number or ""
        lengths = range(TICKET_LENGTH, APPLICATION_LENGTH + 1)
        value = next(filter(None, (read_number(typed, length=length) for length in lengths)), None)
    else:
        form = Form({kind: (recipient.email if kind == "email" else recipient.phone) or ""})
        value = form.email(kind) if kind == "email" else form.mobile_phone(kind)
    return Address(kind, value) if value else None


def _of_recipient(recipient: Recipient, address: Address | None, system: System) -> Iterator[Mistake]:
    named = recipient.named()
    if len(named) != 1:
        yield Mistake("/recipient", "not_one", "exactly one of number, email and phone")
        return
    [kind] = named
    if kind not in system.recipients:
        yield Mistake(f"/recipient/{kind}", "not_allowed", "this system may not name a recipient so")
    elif address is None:
        what = {"number": "no reference number", "email": "no mail address", "phone": "no number of a mobile phone"}
        yield Mistake(f"/recipient/{kind}", "unreadable", what[kind])
    if kind == "number" and recipient.language is not None:
        yield Mistake("/recipient/language", "not_allowed", "whoever has the number chose a language themselves")


def _of_words(at: str, words: Words, checks: TownChecks) -> Iterator[Mistake]:
    for name, text in (("subject", words.subject), ("body", words.body), ("short", words.short)):
        pointer, is_read_by_others = f"{at}/{name}", name != "body"
        if not text.strip() and name != "short":
            yield Mistake(pointer, "empty", "write something")
        if len(text) > _MAX[name]:
            yield Mistake(pointer, "too_long", f"at most {_MAX[name]} letters")
        lines = [text] if is_read_by_others else text.split("\n")
        if any(map(has_unseen, lines)):
            yield Mistake(pointer, "sign", "a line break or control character, or a sign that nobody sees")
        if any(links_elsewhere(line, checks.hosts) for line in lines):
            yield Mistake(pointer, "link", "only the town's own pages are linked to")
        if is_read_by_others and telling_in(text, checks.discreet):
            yield Mistake(pointer, "telling", "others read this: it names what is discreet")


def _of_reference(reference: str) -> Iterator[Mistake]:
    pointer = "/reference"
    if not is_visible(reference) or len(reference) > REFERENCE_MAX_LENGTH:
        yield Mistake(pointer, "unreadable", f"1 to {REFERENCE_MAX_LENGTH} visible ASCII signs")
    elif has_my_number(reference):
        yield Mistake(pointer, "personal", "it has a My Number in it")
    elif has_mail_address(reference) or any(map(_is_phone, like_phones(reference))):
        yield Mistake(pointer, "personal", "it has somebody's mail address or telephone number in it")


def _is_phone(text: str) -> bool:
    return bool(Form({"phone": text}).phone("phone"))
