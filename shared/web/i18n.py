"""Languages: which exist, which one this request speaks, and the catalogues behind ``_()``.

Japanese is the source: every msgid is the Japanese sentence, so Japanese needs no catalogue, and a sentence that nobody
has translated yet is shown in Japanese rather than as a key. Catalogues are read from
``locale/<locale>/LC_MESSAGES/choudo.po`` at first use; there is no compiled file to forget. ``make messages`` collects
new texts into them (`deploy.messages`).

The language is a context variable and not a template variable, because imported Jinja macros do not see the page's
context, and because filters and refusals need it too.
"""

import io
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

from shared.bare_text import bare
from shared.web.municipality_words import as_said_here
from shared.web.readings import annotate

DOMAIN = "choudo"
LOCALE_DIR = Path(__file__).with_name("locale")


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
    has_readings: bool = False
    """Whether its words in kanji have their reading above them on pages (`shared/web/readings.py`)."""

    @property
    def babel(self) -> Locale:
        return Locale.parse(self.locale)


SOURCE = Language("ja", "ja", "ja", "日本語")
# やさしい日本語 is Japanese for a screen reader; the modifier is POSIX's way to say "a variety of", and Babel reads it.
LANGUAGES = {
    language.code: language
    for language in (
        SOURCE,
        Language("ja-easy", "ja", "ja_JP@easy", "やさしい日本語", has_readings=True),
        Language("en", "en", "en", "English"),
    )
}

# The visitor's choice, beside `text_size`.
LANGUAGE_COOKIE = "language"

_current: ContextVar[Language] = ContextVar("choudo_language", default=SOURCE)
# Only while a page is made: mail, calendars and programs want the bare words.
_is_page: ContextVar[bool] = ContextVar("choudo_is_page", default=False)


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
def use_language(code: str | None, *, page: bool = False) -> Iterator[Language]:
    """Speak this language inside the block: for a request, or for notices, which follow their reader.

    `page`: texts bring the readings of their words, for the template that makes a page of them.
    """
    language, is_page = _current.set(find_language(code)), _is_page.set(page)
    try:
        yield _current.get()
    finally:
        _is_page.reset(is_page)
        _current.reset(language)


@contextmanager
def without_readings() -> Iterator[None]:
    """Make something else than a page inside the block: a file, an answer to a program."""
    token = _is_page.set(False)
    try:
        yield
    finally:
        _is_page.reset(token)


def with_readings(text: str) -> str:
    """A text of ours or of the town, which nobody typed, with the readings that its reader wants."""
    if not current_language().has_readings:
        return text
    return annotate(text) if _is_page.get() else bare(text)


def catalogue_path(language: Language) -> Path:
    """Where a language's translations are written."""
    return LOCALE_DIR / language.locale / "LC_MESSAGES" / f"{DOMAIN}.po"


@cache
def translations(code: str) -> NullTranslations:
    """The catalogue of a language; one that is empty or absent answers in Japanese."""
    language = find_language(code)
    path = catalogue_path(language)
    if language is SOURCE or not path.exists():
        return NullTranslations()
    compiled = io.BytesIO()
    with path.open("rb") as source:
        write_mo(compiled, read_po(source, locale=language.locale, domain=DOMAIN))
    compiled.seek(0)
    return GNUTranslations(compiled)


def translate(message: str) -> str:
    """Look a message up in the current language, without filling anything in. Jinja's own ``_`` fills in."""
    return with_readings(as_said_here(translations(current_language().code).gettext(message)))


def translate_plural(singular: str, plural: str, n: int) -> str:
    """As `translate`, for a number of things."""
    return with_readings(as_said_here(translations(current_language().code).ngettext(singular, plural, n)))


def gettext(message: str, **values: object) -> str:
    """Translate and fill in ``%(name)s``, as ``_()`` does in templates. A literal percent sign is ``%%`` in both."""
    return translate(message) % values


_ = gettext
