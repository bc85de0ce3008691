"""Reading HTML forms: every field checked by itself, what was typed kept, every problem told at its field."""

import re
import unicodedata
from collections.abc import Mapping
from datetime import date
from typing import Any
from uuid import UUID

import jaconv
import phonenumbers
from email_validator import EmailNotValidError, validate_email
from litestar import Request

from shared.errors import Refusal
from shared.web.i18n import gettext as _

# The form of a large family, for several procedures at once, has more than 250.
FIELDS_MAX = 600
NAME_MAX_LENGTH = 60
EMAIL_MAX_LENGTH = 254
PHONE_MAX_LENGTH = 32
# As typed; a postal code itself has seven digits.
POSTAL_CODE_MAX_LENGTH = 12
POSTAL_CODE_LENGTH = 7
NUMBER_MAX_LENGTH = 12
# 060 joined the mobile ranges in July 2026; 020 is machines'.
MOBILE_PREFIXES = ("060", "070", "080", "090")
MOBILE_E164_LENGTH = len("+819012345678")

# Characters that cannot be printed on a slip or read aloud at a counter: control, private and unassigned ones, line
# separators, symbols. Emoji hide in three more places: the emoji variant of a plain sign, keycaps, skin colours.
UNUSABLE_CATEGORIES = ("Cc", "Cf", "Cs", "Co", "Cn", "So", "Zl", "Zp", "Me")
UNUSABLE_CHARS = frozenset("\ufe0f\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff")
# NFC would replace these (神, 福, 都 … as family registers write them) by the plain character.
_COMPATIBILITY_IDEOGRAPHS = re.compile("([\uf900-\ufaff\U0002f800-\U0002fa1f]+)")
# What phone numbers are typed with, after NFKC and with every hyphen made "-".
_PHONE = re.compile(r"\+?[0-9 ().-]+")
_HYPHENS = "ー−─━"
# As most of the world dials it: what stands here for +.
_AS_ABROAD = re.compile(r"^00[ .-]?81")
# The year before the first one of each era (元号), by the first letter that official forms print and by name.
ERA_OFFSETS = {"R": 2018, "H": 1988, "S": 1925, "T": 1911, "M": 1867}
WESTERN = "AD"
DATE_PARTS = ("era", "year", "month", "day")
_ERA_NAMES = {"令和": "R", "平成": "H", "昭和": "S", "大正": "T", "明治": "M", "西暦": WESTERN}
_YEAR = re.compile(r"(令和|平成|昭和|大正|明治|西暦|[RHSTM])?\s*([0-9]{1,4}|元)年?", re.IGNORECASE)
_WESTERN_MIN = 1000


async def read_form(request: Request[Any, Any, Any]) -> dict[str, str]:
    """The fields of a posted form, the last value of each name; multiple values are joined by a space.

    Raises:
        Refusal: `form_unreadable` (400), not text, too many fields or files among them.
    """
    try:
        data = await request.form()
    except (ValueError, LookupError) as error:  # bytes that are no text
        raise Refusal("form_unreadable", 400) from error
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
        """One line of text: trimmed, letters composed, every ideograph as it was typed, no control characters."""
        clean = _compose(self.value(name)).strip()
        if not clean:
            if required:
                self.errors[name] = _("入力してください。")
            return ""
        if len(clean) > max_length:
            self._too_long(name, max_length, len(clean))
            return ""
        if _has_unusable(clean):
            self.errors[name] = _("使えない記号が入っています。文字だけで入力してください。")
            return ""
        return clean

    def long_text(self, name: str, *, max_length: int, required: bool = True) -> str:
        """Several lines: as `text`, with the line ends kept and made one kind."""
        typed = self.value(name).replace("\r\n", "\n").replace("\r", "\n")
        lines = [_compose(line).rstrip() for line in typed.split("\n")]
        clean = "\n".join(lines).strip()
        if not clean:
            if required:
                self.errors[name] = _("入力してください。")
            return ""
        if len(clean) > max_length:
            self._too_long(name, max_length, len(clean))
            return ""
        if _has_unusable(clean.replace("\n", "")):
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
            self._too_long(name, max_length, len(clean))
            return ""
        return clean

    def email(self, name: str) -> str:
        """An e-mail address, normalised. Addresses that break the standard (old ones with `..`) are told to use SMS."""
        clean = unicodedata.normalize("NFKC", self.value(name)).strip()
        if not clean:
            self.errors[name] = _("メールアドレスを入力してください。")
            return ""
        try:
            # No SMTPUTF8: too few of the servers that a town's mail passes through know it.
            valid = validate_email(
                clean[: EMAIL_MAX_LENGTH + 1], check_deliverability=False, allow_smtputf8=False, strict=True
            )
            return valid.ascii_email or valid.normalized
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
        if number and not is_mobile(number):
            self.errors[name] = _("SMSを受けとれる番号を入力してください。060・070・080・090で始まる番号です。")
            return ""
        return number

    def phone(self, name: str, *, required: bool = True) -> str:
        """A Japanese phone number in any notation (full width, hyphens of every kind, +81, 0081), as E.164."""
        clean = unicodedata.normalize("NFKC", self.value(name)).strip()
        clean = "".join("-" if unicodedata.category(char) == "Pd" or char in _HYPHENS else char for char in clean)
        clean = _AS_ABROAD.sub("+81", clean)
        if not clean:
            if required:
                self.errors[name] = _("電話番号を入力してください。")
            return ""
        number = _e164(clean)
        if number is None:
            self.errors[name] = _("電話番号の形を確かめてください。例：090-1234-5678")
            return ""
        return number

    def postal_code(self, name: str, *, required: bool = True, example: str = "") -> str:
        """Seven digits, typed with or without 〒 and hyphen. `example`: a code that people here know."""
        clean = unicodedata.normalize("NFKC", self.value(name)[: POSTAL_CODE_MAX_LENGTH * 2]).strip().removeprefix("〒")
        digits = "".join(
            char for char in clean if not (char.isspace() or char in _HYPHENS or unicodedata.category(char) == "Pd")
        )
        if not clean and not required:
            return ""
        if len(digits) != POSTAL_CODE_LENGTH or not (digits.isascii() and digits.isdigit()):
            said = _("郵便番号は、7けたの数字で入力してください。")
            self.errors[name] = said + (_("例：%(code)s", code=example) if example else "")
            return ""
        return digits

    def number(self, name: str, *, lowest: int, highest: int, required: bool = True) -> str:
        """A whole number within limits, as plain digits."""
        clean = unicodedata.normalize("NFKC", self.value(name)[: NUMBER_MAX_LENGTH + 1]).strip()
        if not clean and not required:
            return ""
        if not (clean.isascii() and clean.isdigit()) or len(clean) > NUMBER_MAX_LENGTH:
            self.errors[name] = _("数字だけで入力してください。")
            return ""
        if not lowest <= int(clean) <= highest:
            self.errors[name] = _(
                "%(lowest)sから%(highest)sまでの数字で入力してください。", lowest=lowest, highest=highest
            )
            return ""
        return str(int(clean))

    def digits(self, name: str, *, length: int, required: bool = True) -> str:
        """So many digits, which may begin with zeros (an account's number). Fewer are filled up on the left."""
        clean = unicodedata.normalize("NFKC", self.value(name)[: NUMBER_MAX_LENGTH * 2]).strip()
        if not clean and not required:
            return ""
        if not (clean.isascii() and clean.isdigit()) or len(clean) > length:
            self.errors[name] = _("%(length)sけたまでの数字で入力してください。", length=length)
            return ""
        return clean.zfill(length)

    def day(self, name: str, *, earliest: date, latest: date, required: bool = True) -> str:
        """A day from separate fields (`name_era`, `name_year`, `name_month`, `name_day`), as `2026-11-24`.

        The year may be typed with its era (令和8, R8, 元). An era's years are counted on beyond its end: old papers
        have them, and only one day can be meant.
        """
        typed = [unicodedata.normalize("NFKC", self.value(f"{name}_{part}"))[:NUMBER_MAX_LENGTH].strip()
                 for part in DATE_PARTS[1:]]  # fmt: skip
        if not any(typed):
            if required:
                self.errors[name] = _("年・月・日を入力してください。")
            return ""
        day = _read_date(self.value(f"{name}_era"), *typed)
        if day is None:
            self.errors[name] = _("年・月・日を、数字で入力してください。西暦は4けたです。例：2026年11月24日")
            return ""
        if day < earliest:
            self.errors[name] = _("%(day)sからあとの日を入力してください。", day=_plain_day(earliest))
            return ""
        if day > latest:
            self.errors[name] = _("%(day)sまでの日を入力してください。", day=_plain_day(latest))
            return ""
        return day.isoformat()

    def choice(self, name: str, allowed: tuple[str, ...], *, required: bool = True) -> str:
        """One of a few values."""
        if not self.value(name) and not required:
            return ""
        if self.value(name) not in allowed:
            self.errors[name] = _("ひとつ選んでください。")
            return ""
        return self.value(name)

    def _too_long(self, name: str, max_length: int, length: int) -> None:
        self.errors[name] = _("%(max)s文字までで入力してください。いまは%(now)s文字です。", max=max_length, now=length)


def _has_unusable(clean: str) -> bool:
    return any(unicodedata.category(char) in UNUSABLE_CATEGORIES or char in UNUSABLE_CHARS for char in clean)


def _read_date(era: str, year: str, month: str, day: str) -> date | None:
    found = _YEAR.fullmatch(year)
    parts = [text.removesuffix(unit) for text, unit in ((month, "月"), (day, "日"))]
    if found is None or not all(part.isascii() and part.isdigit() for part in parts):
        return None
    # What stands before the number itself is what the person means.
    name = (found[1] or era or WESTERN).upper()
    name = _ERA_NAMES.get(name, name)
    count = 1 if found[2] == "元" else int(found[2])
    is_western = name == WESTERN or (not found[1] and count >= _WESTERN_MIN)
    if is_western:
        number = count
    elif name in ERA_OFFSETS and 1 <= count < 100:
        number = count + ERA_OFFSETS[name]
    else:
        return None
    try:
        return date(number, int(parts[0]), int(parts[1])) if number >= _WESTERN_MIN else None
    except (ValueError, OverflowError):  # no such day, or digits without end
        return None


def _plain_day(day: date) -> str:
    return f"{day.year}年{day.month}月{day.day}日"


def _compose(typed: str) -> str:
    # split() with a group: every second part is what the group matched.
    parts = _COMPATIBILITY_IDEOGRAPHS.split(typed)
    parts[::2] = [unicodedata.normalize("NFC", part) for part in parts[::2]]
    return "".join(parts)


def _e164(clean: str) -> str | None:
    # The library looks for a number in whatever it is given; a guess would send a notice to a stranger.
    if len(clean) > PHONE_MAX_LENGTH or not _PHONE.fullmatch(clean):
        return None
    try:
        number = phonenumbers.parse(clean, "JP")
    except phonenumbers.NumberParseException:
        return None
    if number.country_code != 81 or len(str(number.national_number)) not in (9, 10):
        return None
    text = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return None if is_mobile(text) and len(text) != MOBILE_E164_LENGTH else text


def show_phone(number: str) -> str:
    """A number in E.164 as it is dialled here: ``090-1234-5678``."""
    try:
        return phonenumbers.format_number(phonenumbers.parse(number, "JP"), phonenumbers.PhoneNumberFormat.NATIONAL)
    except phonenumbers.NumberParseException:
        return number


def is_mobile(number: str) -> bool:
    """Whether a number (E.164) can get an SMS."""
    return ("0" + number.removeprefix("+81")).startswith(MOBILE_PREFIXES)


def is_uuid(text: str) -> bool:
    """Whether a text is a reference."""
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def parse_uuid(text: str, *, code: str = "not_found", status: int = 404) -> UUID:
    """A reference from a path or a form.

    Raises:
        Refusal: it is not one.
    """
    try:
        return UUID(text)
    except ValueError as error:
        raise Refusal(code, status) from error
