"""What another system asks for: one notice, to one person, in words of its own. As it comes in a body."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Literal

import msgspec

from services.notifications.domain.systems import RecipientKind

Language = Literal["ja", "ja-easy", "en"]
# What is taken to be looked at. What a text may really have is said with everything else that is wrong with it.
TEXT_READ_MAX, NAME_READ_MAX = 5_000, 500

_Text = Annotated[str, msgspec.Meta(max_length=TEXT_READ_MAX)]
_Name = Annotated[str, msgspec.Meta(max_length=NAME_READ_MAX)]


class Words(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mail's subject and text, and what an SMS says of them (without it: the subject, and to ask by telephone)."""

    subject: _Text
    body: _Text
    short: _Text = ""


class Texts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"easy": "ja-easy"}):
    """In Japanese, and for readers of easy Japanese and of English where there are words for them."""

    ja: Words
    easy: Words | None = None
    en: Words | None = None

    def each(self) -> Iterator[tuple[Language, Words]]:
        """The texts that there are."""
        yield "ja", self.ja
        if self.easy is not None:
            yield "ja-easy", self.easy
        if self.en is not None:
            yield "en", self.en

    def best(self, language: str) -> Words:
        """What a reader of a language gets."""
        return {"ja-easy": self.easy, "en": self.en}.get(language) or self.ja


class Recipient(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Exactly one of: the `number` of an appointment or of something handed in, and whoever gave a contact with it is
    told as they chose; or an address, `email` or `phone`, with the `language` of its reader (`ja` without)."""

    number: _Name | None = None
    email: _Name | None = None
    phone: _Name | None = None
    language: Language | None = None

    def __repr__(self) -> str:
        # Never what is in it: a representation ends up in logs.
        return f"Recipient({'+'.join(self.named())})"

    def named(self) -> list[RecipientKind]:
        """How the recipient is named: one, or it is none."""
        given: dict[RecipientKind, str | None] = {"number": self.number, "email": self.email, "phone": self.phone}
        return [kind for kind, value in given.items() if value is not None]


class NoticeAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`town_notice` must be told: whom nothing reaches, staff call. `town_news` people may stop.

    `useful_until`: at most seven days from now; a day without. `reference`: the system's own name for it, at most 100
    visible ASCII signs, and nobody's number or address.
    """

    recipient: Recipient
    kind: Literal["town_news", "town_notice"]
    texts: Texts
    useful_until: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    reference: _Name | None = None


class Mistake(msgspec.Struct, frozen=True):
    """What is wrong, and where (a JSON pointer, RFC 6901). `detail` is for whoever writes the system."""

    pointer: str
    code: str
    detail: str
