"""What is written to many: how it will arrive by each channel, in how many parts, and what keeps it from being sent."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from services.notifications.domain.bulk import BULK_LANGUAGES, Language, Texts, Words, Written, is_of_use
from services.notifications.domain.notices import Kind
from services.notifications.orders import Order
from services.notifications.queries_of_templates import TownFacts
from services.notifications.rendering import say
from services.notifications.samples import make_sample
from services.notifications.senders.text_limit import TextLimit
from shared.sms_parts import PARTS_MAX, count_parts
from shared.town_pack.checking_texts import Known, flaws_of_languages, flaws_of_text
from shared.town_pack.problems import Flaw
from shared.town_pack.templates import CHANNEL_OF
from shared.web.i18n import gettext as _
from shared.web.i18n import use_language

# The texts of a language, as the checks and the channels call them; a letter says what a mail says.
WHICH: Mapping[str, str] = {"subject": "subject", "body": "long", "short": "short"}
# Without these nobody knows what it is about.
NEEDED = ("subject", "body")
# Which text, in which language.
Place = tuple[str, str]
Flaws = dict[Place, list[Flaw]]


def flaws_of_words(kind: Kind, texts: Texts, facts: TownFacts) -> Flaws:
    """Everything that is wrong with what is written; in all three languages, for everybody reads it."""
    known = facts.known()
    flaws: Flaws = {}
    for which, name in WHICH.items():
        said: dict[str, str] = {each: getattr(texts.get(each, Words()), which) for each in BULK_LANGUAGES}
        for language, text in said.items():
            if text:
                flaws[which, language] = [*flaws_of_text(kind, CHANNEL_OF[name], text, known)]
            elif which in NEEDED and not any(said.values()):
                flaws[which, language] = [Flaw("", (), f"nothing is said of {which}", "write it")]
        for language, flaw in flaws_of_languages(which, said):
            flaws.setdefault((which, language), []).append(flaw)
        if which == "short":
            for language, text in said.items():
                flaws.setdefault((which, language), []).extend(_parts(language, text, known))
    return {place: wrong for place, wrong in flaws.items() if wrong}


def missing_in(written: Written, *, now: datetime) -> set[str]:
    """The fields without which nobody knows to whom it goes, and until when."""
    audience = written.audience
    missing = set()
    if audience.by == "appointments" and (audience.span is None or audience.span[0] >= audience.span[1]):
        missing.add("days")
    if audience.by == "applications" and not audience.procedure:
        missing.add("procedure")
    if not is_of_use(written.until, written.reason, now=now):
        missing.add("until")
    return missing


def marked(words: Words, language: str) -> Words:
    """The words as a test, which says so in each of its texts."""
    with use_language(language):
        mark, said = _("【試し】"), _("これは、送る前の試しです。ほかの人には届いていません。")
    short = mark + words.short if words.short else ""
    return Words(subject=mark + words.subject, body=f"{mark}{said}\n\n{words.body}", short=short)


def sample_of(kind: Kind, texts: Texts, language: Language, facts: TownFacts, *, now: datetime) -> Order:
    """An order to nobody that says what is written."""
    words = texts.get(language, Words())
    return msgspec.structs.replace(
        make_sample(kind, "usual", language, facts, own={}, now=now),
        message_subject=words.subject,
        message_body=words.body,
        message_short=words.short,
    )


def parts_of(kind: Kind, texts: Texts, facts: TownFacts, limit: TextLimit, *, now: datetime) -> dict[str, int]:
    """As how many messages the SMS goes, in each language, at a gateway that counts by `limit`."""
    samples = {language: sample_of(kind, texts, language, facts, now=now) for language in BULK_LANGUAGES}
    return {language: limit.count(say(sample, "sms", limit)) for language, sample in samples.items()}


def _parts(language: str, text: str, known: Known) -> list[Flaw]:
    """What is too long with the town's name before it; even as a test it must fit."""
    if not text:
        return []
    with use_language(language):
        full = _("【%(town)s】%(short)s", town=known.longest["town"], short=_("【試し】") + text)
    parts = count_parts(full)
    # What is too long by itself was said.
    if parts <= PARTS_MAX or count_parts(text) > PARTS_MAX:
        return []
    return [Flaw("", (), f"an SMS in up to {parts} parts, of at most {PARTS_MAX}", "make it shorter")]
