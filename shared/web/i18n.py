"""Languages: which exist, which one this request speaks, and the catalogues behind ``_()``.

Japanese is the source: every msgid is the Japanese sentence, so Japanese needs no catalogue, and a sentence that nobody
has translated yet is shown in Japanese rather than as a key. Catalogues are read from
``locale/<locale>/LC_MESSAGES/choudo.po`` at first use; there is no compiled file to forget.

The language is a context variable and not a template variable, because imported Jinja macros do not see the page's
context, and because filters and refusals need it too.
"""

import io
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path

import msgspec
from babel.core import Locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

DOMAIN = "choudo"
LOCALE_DIR = Path(__file__).with_name("locale")
CONFIG_FILE = Path(__file__).with_name("babel.cfg")
ROOT_DIR = Path(__file__).resolve().parents[2]
EXTRACT_TIMEOUT_S = 120


class Language(msgspec.Struct, frozen=True):
    """One language a page can be shown in."""

    code: str
    """As used in cookies, query strings and town packs."""
    html_lang: str
    """For ``<html lang>``: what a screen reader should speak."""
    locale: str
    """Babel's name, which is the catalogue's folder too."""
    name: str
    """How its speakers call it."""

    @property
    def babel(self) -> Locale:
        return Locale.parse(self.locale)


SOURCE = Language("ja", "ja", "ja", "日本語")
# やさしい日本語 is Japanese for a screen reader; the modifier is POSIX's way to say "a variety of", and Babel reads it.
LANGUAGES = {
    language.code: language
    for language in (
        SOURCE,
        Language("ja-easy", "ja", "ja_JP@easy", "やさしい日本語"),
        Language("en", "en", "en", "English"),
    )
}

_current: ContextVar[Language] = ContextVar("choudo_language", default=SOURCE)


def current_language() -> Language:
    """The language of the request (or job) that is running; Japanese unless said otherwise."""
    return _current.get()


def find_language(code: str | None) -> Language:
    """The language with this code, or Japanese when there is none such: a bad cookie is no error."""
    return LANGUAGES.get(code or "", SOURCE)


def set_language(code: str | None) -> Language:
    """Speak this language for the rest of the current context: for middleware, whose context ends with the request."""
    language = find_language(code)
    _current.set(language)
    return language


@contextmanager
def use_language(code: str | None) -> Iterator[Language]:
    """Speak this language inside the block: for notices, which follow their reader and not the request."""
    token = _current.set(find_language(code))
    try:
        yield _current.get()
    finally:
        _current.reset(token)


@cache
def translations(code: str) -> NullTranslations:
    """The catalogue of a language; one that is empty or absent answers in Japanese."""
    language = find_language(code)
    path = LOCALE_DIR / language.locale / "LC_MESSAGES" / f"{DOMAIN}.po"
    if language is SOURCE or not path.exists():
        return NullTranslations()
    compiled = io.BytesIO()
    with path.open("rb") as source:
        write_mo(compiled, read_po(source, locale=language.locale, domain=DOMAIN))
    compiled.seek(0)
    return GNUTranslations(compiled)


def translate(message: str) -> str:
    """Look a message up in the current language, without filling anything in. Jinja's own ``_`` fills in."""
    return translations(current_language().code).gettext(message)


def translate_plural(singular: str, plural: str, n: int) -> str:
    """As `translate`, for a number of things."""
    return translations(current_language().code).ngettext(singular, plural, n)


def gettext(message: str, **values: object) -> str:
    """Translate and fill in ``%(name)s``, as ``_()`` does in templates. A literal percent sign is ``%%`` in both."""
    return translate(message) % values


_ = gettext


def extract_messages() -> None:
    """Collect every ``_()`` of the repository and merge it into each catalogue, keeping what is translated.

    Raises CalledProcessError when a template or a source file cannot be read.
    """
    template = LOCALE_DIR / f"{DOMAIN}.pot"
    _pybabel(
        "extract", "-F", str(CONFIG_FILE), "-o", str(template), "--no-location", "--sort-output", "--omit-header", "."
    )
    for language in LANGUAGES.values():
        if language is SOURCE:
            continue
        path = LOCALE_DIR / language.locale / "LC_MESSAGES" / f"{DOMAIN}.po"
        common = ["-D", DOMAIN, "-i", str(template), "-d", str(LOCALE_DIR), "-l", language.locale]
        if path.exists():
            _pybabel("update", "--no-fuzzy-matching", "--ignore-pot-creation-date", *common)
        else:
            _pybabel("init", *common)


def _pybabel(command: str, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "babel.messages.frontend", command, *arguments],
        cwd=ROOT_DIR,
        check=True,
        timeout=EXTRACT_TIMEOUT_S,
    )


if __name__ == "__main__":
    extract_messages()
