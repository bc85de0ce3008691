"""The catalogues of translations: collect every text of the repository into them, or check that they are well.

    python -m deploy.messages            collect (`make messages`)
    python -m deploy.messages --check    say what is wrong and change nothing (`make lint`)

A text that a resident or a helper may see has to have its translations. One that only staff see (`STAFF_ONLY`) may stay
Japanese, which is shown when there is nothing else. A catalogue holds the texts of now, sorted, without places and
dates, so that it changes only when a text does.
"""

import argparse
import io
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.pofile import read_po, write_po

from deploy.plain_japanese import plain_problems
from shared.web.i18n import DOMAIN, LANGUAGES, SOURCE, Language, catalogue_path

ROOT_DIR: Final = Path(__file__).resolve().parent.parent
CONFIG_FILE: Final = ROOT_DIR / "shared" / "web" / "babel.cfg"
PLAIN: Final = "ja-easy"

# Where every text is for staff, who work in Japanese. A text that stands in another file too is a resident's as well.
STAFF_ONLY: Final = {
    "the counter's tablet": (
        "services/booking/pages/counter.html",
        "services/booking/pages/counter.py",
        "services/booking/pages/line.html",
        "services/booking/pages/line_moved.html",
        "services/booking/pages/line_rows.py",
        "services/booking/pages/offline.html",
        "services/booking/pages/offline.py",
        "services/booking/pages/offline_parts.html",
        "services/booking/pages/found.py",
        "services/booking/pages/told.html",
        "services/booking/pages/told.py",
        "services/booking/pages/transfer.html",
        "services/booking/pages/transfers.py",
    ),
    "the end of a turn, and the payments": (
        "services/booking/pages/cash.html",
        "services/booking/pages/cash.py",
        "services/booking/pages/cash_wording.py",
        "services/booking/pages/finish.html",
        "services/booking/pages/finish.py",
    ),
    "the counters now, and reports": (
        "services/booking/pages/alarms.html",
        "services/booking/pages/alarms.py",
        "services/booking/pages/report_wording.py",
        "services/booking/pages/reports.html",
        "services/booking/pages/reports.py",
        "services/booking/pages/today.html",
        "services/booking/pages/today.py",
        "services/booking/pages/today_now.html",
    ),
    "screens and the poster": (
        "services/booking/pages/poster.html",
        "services/booking/pages/screens.html",
    ),
    "the coordinators' pages": (
        "services/booking/pages/coordinator_parts.html",
        "services/booking/pages/coordinator_wording.py",
        "services/booking/pages/gap.html",
        "services/booking/pages/gaps.py",
        "services/booking/pages/helper_figures.html",
        "services/booking/pages/helper_figures.py",
        "services/booking/pages/helper_messages.html",
        "services/booking/pages/helper_messages.py",
        "services/booking/pages/insurance.html",
        "services/booking/pages/insurance.py",
        "services/booking/pages/message_preview.html",
        "services/booking/pages/people.html",
        "services/booking/pages/people.py",
        "services/booking/pages/person.html",
        "services/booking/pages/roster.html",
        "services/booking/pages/roster.py",
    ),
    "the coordinators' classes": (
        "services/booking/pages/class_call_off.html",
        "services/booking/pages/class_form.py",
        "services/booking/pages/class_materials.html",
        "services/booking/pages/class_roll.html",
        "services/booking/pages/class_staff.html",
        "services/booking/pages/class_staff.py",
        "services/booking/pages/class_staff_parts.html",
        "services/booking/pages/classes_staff.html",
    ),
    "the coordinators' requests": (
        "services/booking/pages/help_parts.html",
        "services/booking/pages/help_staff.html",
        "services/booking/pages/help_staff.py",
    ),
    "the coordinators' roster": (
        "services/booking/pages/roster.html",
        "services/booking/pages/roster.py",
        "services/booking/pages/helper_notes.html",
    ),
    "opening rules": (
        "services/booking/pages/rule.html",
        "services/booking/pages/rule_parts.html",
        "services/booking/pages/rule_preview.html",
        "services/booking/pages/rules.html",
        "services/booking/pages/rules.py",
        "services/booking/pages/rules_form.py",
        "services/booking/pages/rules_wording.py",
    ),
    "closing for a time": (
        "services/booking/pages/close.html",
        "services/booking/pages/close_preview.html",
        "services/booking/pages/closing.html",
        "services/booking/pages/closings.py",
    ),
    "other systems of the town": (
        "services/booking/pages/webhook.html",
        "services/booking/pages/webhook_secret.html",
        "services/booking/pages/webhooks.html",
        "services/booking/pages/webhooks.py",
        "services/notifications/pages/system.html",
        "services/notifications/pages/system_parts.html",
        "services/notifications/pages/system_secret.html",
        "services/notifications/pages/system_wording.py",
        "services/notifications/pages/systems.html",
        "services/notifications/pages/systems.py",
        "shared/web/templates/webhook_parts.html",
        "shared/web/webhook_words.py",
    ),
    "the manager's draws": (
        "services/booking/pages/draw_staff.html",
        "services/booking/pages/draw_staff.py",
        "services/booking/pages/draw_call_off.html",
    ),
    "the back office": (
        "services/routing/pages/desk.html",
        "services/routing/pages/desk.py",
        "services/routing/pages/desk_find.html",
        "services/routing/pages/desk_item.html",
        "services/routing/pages/office_panel.html",
        "services/routing/pages/office_panel.py",
        "services/routing/pages/office_print.html",
        "services/routing/pages/office_wording.py",
        "services/routing/pages/given.html",
        "services/routing/pages/given_page.html",
        "services/routing/pages/figures.html",
        "services/routing/pages/figures.py",
        "services/routing/pages/office.html",
        "services/routing/pages/office.py",
        "services/routing/pages/office_application.html",
        "services/routing/pages/find_protection.html",
        "services/routing/pages/protection.html",
        "services/routing/pages/protection.py",
        "services/routing/pages/office_feedback.html",
        "services/routing/pages/office_feedback.py",
        "services/routing/pages/office_feedback_list.html",
        "services/routing/pages/office_quality.html",
        "services/routing/pages/office_quality.py",
        "services/routing/pages/office_inquiries.html",
        "services/routing/pages/office_inquiries.py",
        "services/routing/pages/office_inquiry.html",
        "services/routing/pages/office_uses.html",
        "services/routing/pages/office_uses.py",
        "services/routing/pages/office_ways.html",
        "services/routing/pages/ways.py",
    ),
    "the editor of the town pack": (
        "services/routing/pages/catalogue.html",
        "services/routing/pages/catalogue.py",
        "services/routing/pages/catalogue_changes.html",
        "services/routing/pages/catalogue_changes.py",
        "services/routing/pages/catalogue_conditions.py",
        "services/routing/pages/catalogue_fields.py",
        "services/routing/pages/catalogue_history.html",
        "services/routing/pages/catalogue_history.py",
        "services/routing/pages/catalogue_inputs.html",
        "services/routing/pages/catalogue_list.html",
        "services/routing/pages/catalogue_no_preview.html",
        "services/routing/pages/catalogue_parts.html",
        "services/routing/pages/catalogue_preview.py",
        "services/routing/pages/catalogue_problems.py",
        "services/routing/pages/catalogue_publish.html",
        "services/routing/pages/practice.html",
        "services/routing/pages/catalogue_record.html",
        "services/routing/pages/catalogue_refusals.py",
        "services/routing/pages/catalogue_wording.py",
    ),
    "the privacy officer's watch": ("services/routing/pages/watch.html", "services/routing/pages/watching.py"),
    "what staff enter in a resident's place": (
        "services/routing/pages/behalf.py",
        "services/routing/pages/behalf_begin.html",
        "services/routing/pages/behalf_search.html",
        "shared/web/templates/behalf.html",
        "shared/web/templates/behalf_parts.html",
    ),
    "the operator's dead letters": (
        "shared/web/dead_letter_words.py",
        "shared/web/templates/dead_letter.html",
        "shared/web/templates/dead_letter_discard.html",
        "shared/web/templates/dead_letter_parts.html",
        "shared/web/templates/dead_letter_replay.html",
        "shared/web/templates/dead_letters.html",
    ),
    "staff's lists": ("shared/web/templates/paged_table.html",),
    "the delivery log": (
        "services/notifications/pages/figures.py",
        "services/notifications/pages/notice.py",
        "services/notifications/pages/notice_figures.html",
        "services/notifications/pages/notice_one.html",
        "services/notifications/pages/notice_parts.html",
        "services/notifications/pages/notice_person.html",
        "services/notifications/pages/notice_providers.html",
        "services/notifications/pages/notice_unreached.html",
        "services/notifications/pages/notice_wording.py",
        "services/notifications/pages/notices.html",
        "services/notifications/pages/notices.py",
        "services/notifications/pages/staff_refusals.py",
        "services/notifications/pages/task.html",
        "services/notifications/pages/task_contact.html",
        "services/notifications/pages/told_person.py",
        "services/notifications/pages/unreached.py",
        "services/notifications/pages/tasks.py",
    ),
    "letters to be printed": (
        "services/notifications/letters/drawing.py",
        "services/notifications/pages/letter_batch.html",
        "services/notifications/pages/letters.html",
        "services/notifications/pages/letters.py",
    ),
    "the town's own messages": (
        "services/notifications/pages/bulk.py",
        "services/notifications/pages/bulk_check.html",
        "services/notifications/pages/bulk_check.py",
        "services/notifications/pages/bulk_edit.html",
        "services/notifications/pages/bulk_list.html",
        "services/notifications/pages/bulk_prices.html",
        "services/notifications/pages/bulk_prices.py",
        "services/notifications/pages/bulk_progress.html",
        "services/notifications/pages/bulk_stop.html",
        "services/notifications/pages/bulk_wording.py",
        "services/notifications/pages/template_wording.py",
        "services/notifications/pages/template_history.html",
        "services/notifications/pages/template_history.py",
        "services/notifications/pages/template_list.html",
        "services/notifications/pages/template_preview.html",
        "services/notifications/pages/template_preview.py",
        "services/notifications/pages/template_publish.html",
        "services/notifications/pages/template.html",
        "services/notifications/pages/templates.py",
        "services/notifications/pages/template_texts.html",
        "shared/web/template_words.py",
    ),
}
_STAFF_FILES: Final = frozenset(file for files in STAFF_ONLY.values() for file in files)

HEADER: Final = """\
# Choudo: {name}. `make messages` collects the texts; a text left empty is shown in Japanese.
msgid ""
msgstr ""
"Language: {locale}\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Plural-Forms: {plural}\\n"

"""
_PLACEHOLDER = re.compile(r"%\(\w+\)s|%%|\{\w+\}")
_STRAY_PERCENT = re.compile(r"%(?!\(\w+\)s|%)")


def extract(root: Path = ROOT_DIR, config: Path = CONFIG_FILE) -> Catalog:
    """Every text that is marked for translation. Raises TemplateSyntaxError when a template cannot be read."""
    with config.open(encoding="utf-8") as file:
        methods, options = parse_mapping_cfg(file)  # type: ignore[no-untyped-call]
    found = Catalog(domain=DOMAIN)
    for path, line, text, _, context in extract_from_dir(root, methods, options):
        found.add(text, locations=[(path, line)], context=context)
    return found


def read_catalogue(language: Language) -> Catalog:
    """What is on disk; an empty catalogue when there is none."""
    path = catalogue_path(language)
    if not path.exists():
        return Catalog(locale=language.locale, domain=DOMAIN)
    with path.open("rb") as file:
        return read_po(file, locale=language.locale, domain=DOMAIN, abort_invalid=True)


def merge(old: Catalog, texts: Catalog, language: Language) -> Catalog:
    """The texts of now, with the translations that there are. What nobody asks for any more goes."""
    merged = Catalog(locale=language.locale, domain=DOMAIN)
    for text in _messages(texts):
        known = old.get(text.id, text.context)
        merged.add(
            text.id,
            string=known.string if known is not None else "",
            flags=known.flags & {"fuzzy"} if known is not None else (),
            context=text.context,
        )
    return merged


def render(catalogue: Catalog, language: Language) -> bytes:
    """The file's content."""
    body = io.BytesIO()
    write_po(body, catalogue, width=0, no_location=True, omit_header=True, sort_output=True)
    header = HEADER.format(name=language.name, locale=language.locale, plural=catalogue.plural_forms)
    return header.encode() + body.getvalue()


def problems_of(catalogue: Catalog, *, plain: bool) -> list[str]:
    """What is wrong with the translations, in words for their author. `plain`: they have to be やさしい日本語."""
    problems = []
    for message in _messages(catalogue):
        if message.fuzzy:
            problems.append(f"marked as uncertain (fuzzy): {message.id}")
        sources, translated = _forms(message.id), [form for form in _forms(message.string) if form]
        for form in translated:
            if all(_placeholders(form) != _placeholders(source) for source in sources):
                problems.append(f"other placeholders than its source: {form}")
            if _STRAY_PERCENT.search(form) and message.python_format:
                problems.append(f"a percent sign that is none of a placeholder: {form}")
            if plain:
                problems += plain_problems(form)
    return problems


def check(texts: Catalog) -> list[str]:
    """Everything that is wrong with the catalogues on disk."""
    problems = []
    for language in _translated():
        old, path = read_catalogue(language), catalogue_path(language)
        if not path.exists() or path.read_bytes() != render(merge(old, texts, language), language):
            problems.append(f"{language.code}: not what the texts of now give; run: make messages")
        problems += [f"{language.code}: {problem}" for problem in problems_of(old, plain=language.code == PLAIN)]
        problems += [f"{language.code}: a resident would see Japanese: {text}" for text in untranslated(old, texts)]
    return problems


def untranslated(catalogue: Catalog, texts: Catalog) -> list[str]:
    """The texts that residents see and that the catalogue has no words for."""
    missing = []
    for message in _messages(texts):
        if any(file not in _STAFF_FILES for file, _ in message.locations):
            known = catalogue.get(message.id, message.context)
            if known is None or not any(_forms(known.string)):
                missing.append(_forms(message.id)[0])
    return missing


def collect(texts: Catalog) -> None:
    """Write the catalogues anew and say what is still to be translated."""
    for language in _translated():
        old = read_catalogue(language)
        merged = merge(old, texts, language)
        path = catalogue_path(language)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(render(merged, language))
        left = [message for message in _messages(merged) if not any(_forms(message.string))]
        gone = sum(merged.get(message.id, message.context) is None for message in _messages(old))
        print(f"{language.code}: {len(merged)} texts, {len(left)} without a translation, {gone} no longer asked for")


def main() -> int:
    """Collect, or with ``--check`` complain. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="deploy.messages", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail when something is wrong")
    texts = extract()
    if not parser.parse_args().check:
        collect(texts)
        return 0
    problems = check(texts)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def _translated() -> list[Language]:
    return [language for language in LANGUAGES.values() if language is not SOURCE]


def _messages(catalogue: Catalog) -> Iterable[Message]:
    return (message for message in catalogue if message.id)


def _forms(text: str | Iterable[str] | None) -> list[str]:
    return [text] if isinstance(text, str) else list(text or ())


def _placeholders(text: str) -> list[str]:
    return sorted(set(_PLACEHOLDER.findall(text)))


if __name__ == "__main__":
    sys.exit(main())
