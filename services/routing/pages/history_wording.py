"""The words of 「わたしの情報のやりとり履歴」: one plain sentence an entry, who did what with which items, what for."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from operator import attrgetter
from uuid import UUID

import msgspec

from services.routing.domain.desk import CONFIRMED
from services.routing.domain.devices import OTHER_DEVICE
from services.routing.domain.handover import EXPIRED, STALE, WITHDRAWN
from services.routing.domain.identity import FROM_PROVIDER
from services.routing.domain.meetings import AGREED
from services.routing.pages.wording import FAMILY_MEMBER, LEGAL_BASIS, TARGETS, item_names
from services.routing.queries.history import HistoryEntry
from shared.web.i18n import translate
from shared.web.templating import jst_datetime
from shared.web.town_texts import town_name, town_text


def _(message: str) -> str:
    """Marks a text for the catalogues."""
    return message


_SENTENCES: dict[str, str] = {
    "collected": _("%(actor)sが「%(items)s」を入力しました。目的は「%(purpose)s」です。"),
    "corrected": _("%(actor)sが「%(items)s」を書きなおしました。目的は「%(purpose)s」です。"),
    "offered": _("「%(items)s」を%(target)sへわたしてよいか、おたずねしました。目的は「%(purpose)s」です。"),
    "previewed": _("%(target)sで使う「%(items)s」を、使う前に画面でお見せしました。目的は「%(purpose)s」です。"),
    "approved": _("%(actor)sが「%(items)s」を%(target)sへわたすことを認めました。目的は「%(purpose)s」です。"),
    "declined": _("%(actor)sが「%(items)s」を%(target)sへわたさないことにしました。"),
    "applied": _("%(service)sが「%(items)s」を使いました。もう一度書かずにすみました。目的は「%(purpose)s」です。"),
    "staff_viewed": _("%(office)sの職員が「%(items)s」を見ました。目的は「%(purpose)s」です。"),
    "helper_assisted": _("サポーターが「%(items)s」の入力を手伝いました。目的は「%(purpose)s」です。"),
    "refused": _("%(service)sは「%(items)s」を使いませんでした。目的は「%(purpose)s」でした。"),
    "erased": _("%(service)sが「%(items)s」を消しました。"),
}
# The line on the counter's tablet, once a day and office (booking: commands/calling.py).
_SENTENCE_CALLED = _("窓口の係（%(actor)s）が、お呼びするために「%(items)s」を見ました。")
_SENTENCE_HELPER_VIEWED = _("サポーターが「%(items)s」を見ました。目的は「%(purpose)s」です。")
_SENTENCE_TOGETHER = _(
    "あなたが「はい」と答えたので、サポーターといっしょに手続きを進めました。サポーターに見えるのは、どこまで進んだかだけです。"
)
# What stays in this service: an earlier item in the form of another procedure.
_FORM_SENTENCES: dict[str, str] = {
    "offered": _("前に入力した「%(items)s」を、この申請に使ってよいか、おたずねしました。"),
    "previewed": _("前に入力した「%(items)s」を、この申請に使う前に画面でお見せしました。"),
    "approved": _("%(actor)sが、前に入力した「%(items)s」をこの申請に使うことを認めました。"),
    "declined": _("%(actor)sが、前に入力した「%(items)s」をこの申請に使わないことにしました。"),
}
# Staff on somebody's behalf: nobody else saw the screen, everything was said.
_SAID = {"said_by_phone": _("電話で"), "said_at_desk": _("窓口で")}
_SAID_SENTENCES: dict[str, str] = {
    "collected": _("%(actor)sが、%(how)sうかがった「%(items)s」を入力しました。目的は「%(purpose)s」です。"),
    "corrected": _("%(actor)sが、%(how)sうかがって「%(items)s」を書きなおしました。目的は「%(purpose)s」です。"),
    "offered": _("「%(items)s」を%(target)sへわたしてよいか、%(actor)sが%(how)sおたずねしました。"),
    "previewed": _("%(target)sで使う「%(items)s」を、使う前に、%(actor)sが%(how)sお伝えしました。"),
    "approved": _("あなたが%(how)s認めたので、%(actor)sが「%(items)s」を%(target)sへわたすことを記録しました。"),
    "declined": _("あなたが%(how)s断ったので、%(actor)sが「%(items)s」を%(target)sへわたさないことを記録しました。"),
}
# At the counter: the person said that what was prepared is right.
_CONFIRMED_SENTENCES = {
    CONFIRMED["tablet"]: _(
        "窓口のタブレットで、「%(items)s」がこれでよいと確かめていただきました。%(actor)sが記録しました。"
    ),
    CONFIRMED["paper"]: _("窓口の紙で、「%(items)s」がこれでよいと確かめていただきました。%(actor)sが記録しました。"),
}
# From a provider of the identity step.
_PROVIDER_SENTENCES: dict[str, str] = {
    "collected": _("本人確認のサービスから「%(items)s」を受けとりました。目的は「%(purpose)s」です。"),
    "corrected": _("本人確認のサービスの内容に「%(items)s」をなおしました。目的は「%(purpose)s」です。"),
    "offered": _("本人確認のサービスの「%(items)s」を使ってよいか、おたずねしました。"),
    "declined": _("%(actor)sが、本人確認のサービスの「%(items)s」を使わないことにしました。"),
}
_SENTENCE_OTHER_DEVICE = _("ほかの機械で続けるために、その機械で「%(items)s」を開きました。")
_SENTENCE_FORM_EXPIRED = _("時間内にお返事がなかったので、前に入力した「%(items)s」は、この申請に使いませんでした。")
_SENTENCE_WITHDRAWN = _("%(actor)sが「%(items)s」を、これからの手続きで使わないことにしました。")
_SENTENCE_STALE = _("「%(items)s」は、お返事の前に内容が変わったので、使わずに、もう一度おたずねしました。")
_SENTENCE_EXPIRED = _("時間内にお返事がなかったので、「%(items)s」は%(target)sへわたしませんでした。")
_SENTENCE_OTHER = _("%(service)sが「%(items)s」をあつかいました。目的は「%(purpose)s」です。")
_YOU = _("あなた")
_STAFF = _("%(office)sの職員")
_STAFF_ANYWHERE = _("役場の職員")
_SYSTEM = _("役場のシステム")
_PROCEDURE_OF = _("手続き：%(procedure)s")
_COLLECTED_IN = _("もとの入力：%(procedure)s（%(when)s）")


# What an entry's words depend on: everything but its id and its times.
_TIMES = ("occurred_at", "source_collected_at")
_SAID_OF = attrgetter(*(name for name in HistoryEntry.__struct_fields__ if name not in ("entry_id", *_TIMES)))
# Stands in the words for the time of the entry that they are said of; no text has it.
_WHEN = "\ue000"
Names = Mapping[str, tuple[str, str]]


class HistoryLine(msgspec.Struct, frozen=True, kw_only=True):
    """One entry as the page shows it."""

    entry_id: UUID
    occurred_at: datetime
    sentence: str
    details: tuple[str, ...]


def history_lines(entries: Iterable[HistoryEntry], names: Names) -> list[HistoryLine]:
    """Entries as plain sentences. `names` are the name and office of procedures, by code.

    In a long history the same is said again and again, of another time: it is put into words once.
    """
    said: dict[object, tuple[str, tuple[str, ...]]] = {}
    lines = []
    for entry in entries:
        what = (_SAID_OF(entry), entry.source_collected_at is None)
        if what not in said:
            said[what] = (_say(entry, names), _details(entry, names))
        sentence, details = said[what]
        if details and _WHEN in "".join(details):
            assert entry.source_collected_at is not None
            when = jst_datetime(entry.source_collected_at)
            details = tuple(detail.replace(_WHEN, when) for detail in details)
        lines.append(
            HistoryLine(entry_id=entry.entry_id, occurred_at=entry.occurred_at, sentence=sentence, details=details)
        )
    return lines


def history_line(entry: HistoryEntry, names: Names) -> HistoryLine:
    """One entry as a plain sentence."""
    return history_lines([entry], names)[0]


def _say(entry: HistoryEntry, names: Names) -> str:
    procedure = names.get(entry.target_procedure or entry.source_procedure or "")
    office = entry.office or (procedure[1] if procedure else None)
    return translate(_sentence(entry)) % {
        "actor": _actor(entry),
        "how": translate(_SAID[entry.outcome]) if entry.outcome in _SAID else "",
        "items": item_names(entry.items),
        "target": translate(TARGETS.get(entry.target_service, _SYSTEM)),
        "service": translate(TARGETS.get(entry.service, _SYSTEM)),
        "purpose": translate(entry.purpose),
        "office": town_text(office) if office else translate(_SYSTEM),
    }


def _details(entry: HistoryEntry, names: Names) -> tuple[str, ...]:
    details = [] if entry.person is None else [translate(FAMILY_MEMBER) % {"number": entry.person}]
    procedure = names.get(entry.target_procedure or entry.source_procedure or "")
    if procedure:
        details.append(translate(_PROCEDURE_OF) % {"procedure": town_name(procedure[0])})
    source = names.get(entry.source_procedure or "")
    if source and entry.source_collected_at and entry.entry_type in ("applied", "staff_viewed", "helper_assisted"):
        details.append(translate(_COLLECTED_IN) % {"procedure": town_name(source[0]), "when": _WHEN})
    if entry.legal_basis in LEGAL_BASIS and entry.entry_type in ("approved", "applied", "staff_viewed"):
        details.append(translate(LEGAL_BASIS[entry.legal_basis]))
    return tuple(details)


def _sentence(entry: HistoryEntry) -> str:
    if (entry.entry_type, entry.target_service, entry.target_step) == ("staff_viewed", "booking", "line"):
        return _SENTENCE_CALLED
    if (entry.entry_type, entry.outcome) == ("helper_assisted", "viewed"):
        return _SENTENCE_HELPER_VIEWED
    if (entry.entry_type, entry.outcome) == ("helper_assisted", AGREED):
        return _SENTENCE_TOGETHER
    if entry.outcome in _CONFIRMED_SENTENCES:
        return _CONFIRMED_SENTENCES[entry.outcome]
    if entry.outcome in _SAID and entry.entry_type in _SAID_SENTENCES:
        return _SAID_SENTENCES[entry.entry_type]
    if entry.outcome == FROM_PROVIDER and entry.entry_type in _PROVIDER_SENTENCES:
        return _PROVIDER_SENTENCES[entry.entry_type]
    if (entry.entry_type, entry.outcome) == ("previewed", OTHER_DEVICE):
        return _SENTENCE_OTHER_DEVICE
    if (entry.entry_type, entry.outcome) == ("refused", STALE):
        return _SENTENCE_STALE
    if (entry.entry_type, entry.outcome) == ("declined", WITHDRAWN):
        return _SENTENCE_WITHDRAWN
    is_form = entry.target_service == "routing" and entry.target_step == "form"
    if entry.entry_type == "declined" and entry.outcome == EXPIRED:
        return _SENTENCE_FORM_EXPIRED if is_form else _SENTENCE_EXPIRED
    own = _FORM_SENTENCES.get(entry.entry_type) if is_form else None
    return own or _SENTENCES.get(entry.entry_type, _SENTENCE_OTHER)


def _actor(entry: HistoryEntry) -> str:
    if entry.actor_kind in ("guest", "resident"):
        return translate(_YOU)
    if entry.actor_kind == "staff":
        return translate(_STAFF) % {"office": town_text(entry.office)} if entry.office else translate(_STAFF_ANYWHERE)
    return translate(_SYSTEM)
