"""Reading HTML forms: every field checked by itself, what was typed kept, every problem told at its field."""

import unicodedata
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import jaconv
import phonenumbers
from email_validator import EmailNotValidError, validate_email
from litestar import Request

from shared.errors import Refusal
from shared.web.i18n import gettext as _

FIELDS_MAX = 200
NAME_MAX_LENGTH = 60
EMAIL_MAX_LENGTH = 254
PHONE_MAX_LENGTH = 32
# 060 joined the mobile ranges in July 2026; 020 is machines'.
MOBILE_PREFIXES = ("060", "070", "080", "090")


async def read_form(request: Request[Any, Any, Any]) -> dict[str, str]:
    """The fields of a posted form, the last value of each name; multiple values are joined by a space.

    Raises:
        Refusal: `form_unreadable` (400), too many fields or files among them.
    """
    data = await request.form()
    pairs = list(data.multi_items())
    if len(pairs) > FIELDS_MAX or any(not isinstance(value, str) for _name, value in pairs):
        raise Refusal("form_unreadable", 400)
    fields: dict[str, str] = {}
    for name, value in pairs:
        fields[name] = f"{fields[name]} {value}" if name in fields else value
    return fields


class Form:
    """A posted form being checked: methods return the clean value, or note an error and return the empty string."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = dict(values)
        self.errors: dict[str, str] = {}

    @property
    def ok(self) -> bool:
        """Whether no field had a problem."""
        return not self.errors

    def value(self, name: str) -> str:
        """What was typed, for showing it again."""
        return self.values.get(name, "")

    def text(self, name: str, *, max_length: int, required: bool = True) -> str:
        """One line of text: trimmed, NFC (𠮷 and 﨑 stay as they are), no control characters."""
        clean = unicodedata.normalize("NFC", self.value(name)).strip()
        if not clean:
            if required:
                self.errors[name] = _("入力してください。")
            return ""
        if len(clean) > max_length:
            self.errors[name] = _(
                "%(max)s文字までで入力してください。いまは%(now)s文字です。", max=max_length, now=len(clean)
            )
            return ""
        # Emoji and other symbols cannot be printed on a slip or read aloud at a counter.
        if any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "So") for char in clean):
            self.errors[name] = _("使えない記号が入っています。文字だけで入力してください。")
            return ""
        return clean

    def kana(self, name: str, *, max_length: int = NAME_MAX_LENGTH, required: bool = True) -> str:
        """A reading in full-width katakana; hiragana and half-width kana are turned into it."""
        typed = self.text(name, max_length=max_length * 2, required=required)
        if not typed:
            return ""
        clean = jaconv.hira2kata(jaconv.h2z(unicodedata.normalize("NFKC", typed)))
        clean = " ".join(clean.replace("\u3000", " ").split())
        if not all("\u30a1" <= char <= "\u30fc" or char == " " for char in clean):
            self.errors[name] = _("カタカナかひらがなで入力してください。")
            return ""
        if len(clean) > max_length:
            self.errors[name] = _(
                "%(max)s文字までで入力してください。いまは%(now)s文字です。", max=max_length, now=len(clean)
            )
            return ""
        return clean

    def email(self, name: str) -> str:
        """An e-mail address, normalised. Addresses that break the standard (old ones with `..`) are told to use SMS."""
        clean = unicodedata.normalize("NFKC", self.value(name)).strip()
        if not clean:
            self.errors[name] = _("メールアドレスを入力してください。")
            return ""
        try:
            return validate_email(clean[: EMAIL_MAX_LENGTH + 1], check_deliverability=False).normalized
        except EmailNotValidError:
            local = clean.partition("@")[0]
            if ".." in local or local.endswith("."):
                self.errors[name] = _("このメールアドレスには送れないことがあります。SMSを選んでください。")
            else:
                self.errors[name] = _("メールアドレスの形を確かめてください。例：hanako@example.jp")
            return ""

    def mobile_phone(self, name: str) -> str:
        """A Japanese mobile number in any notation, as E.164."""
        number = self.phone(name)
        if number and not ("0" + number.removeprefix("+81")).startswith(MOBILE_PREFIXES):
            self.errors[name] = _("SMSを受けとれる番号を入力してください。060・070・080・090で始まる番号です。")
            return ""
        return number

    def phone(self, name: str) -> str:
        """A Japanese phone number in any notation (full width, hyphens of every kind, +81), as E.164."""
        clean = unicodedata.normalize("NFKC", self.value(name)).strip()[:PHONE_MAX_LENGTH]
        clean = "".join("-" if unicodedata.category(char) == "Pd" or char in "ー−" else char for char in clean)
        if not clean:
            self.errors[name] = _("電話番号を入力してください。")
            return ""
        try:
            number = phonenumbers.parse(clean, "JP")
        except phonenumbers.NumberParseException:
            number = None
        if number is None or number.country_code != 81 or len(str(number.national_number)) not in (9, 10):
            self.errors[name] = _("電話番号の形を確かめてください。例：090-1234-5678")
            return ""
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        """One of a few values."""
        if self.value(name) not in allowed:
            self.errors[name] = _("ひとつ選んでください。")
            return ""
        return self.value(name)


def parse_uuid(text: str, *, code: str = "not_found", status: int = 404) -> UUID:
    """A reference from a path or a form.

    Raises:
        Refusal: it is not one.
    """
    try:
        return UUID(text)
    except ValueError as error:
        raise Refusal(code, status) from error
