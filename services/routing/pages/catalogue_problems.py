"""What is wrong with a draft, in Japanese and at its record: the checks of a pack speak to whoever keeps its files."""

import re
from collections.abc import Iterable, Mapping

import msgspec

from services.routing.pages.catalogue_options import record_title
from services.routing.pages.catalogue_wording import kind_name, label_of
from shared.town_pack import TownPack
from shared.town_pack.problems import Flaw, Place
from shared.town_pack.records import KINDS, Kind, fields_of, key_of, list_parents, list_records, place_of
from shared.web.i18n import translate
from shared.web.template_words import TEMPLATE_FLAWS


def _(message: str) -> str:
    """Marks a text for the catalogues."""
    return message


# What a check says, and what is said of it here: the groups of the one fill in the other.
_SAID: tuple[tuple[str, str], ...] = (
    (r"(?P<code>.+) is there twice", _("「%(code)s」が2つあります。どちらかを消すか、コードを変えてください。")),
    (r"no such .+: (?P<code>.+)", _("「%(code)s」は、どこにもありません。選びなおしてください。")),
    (r"\d+ places for staff and kiosk, of (?P<n>\d+) in all",
     _("職員用と発券機用の数が、ぜんぶの数（%(n)s）より多くなっています。")),
    (r"a place has both its degrees", _("緯度と経度は、両方を入力してください。")),
    (r".+ is nowhere in Japan", _("緯度や経度が、日本の外です。")),
    (r".+ is no whole minute", _("時刻は、分までにしてください。")),
    (r"closes before it opens", _("終わる時刻が、はじまる時刻より前です。")),
    (r"lunch needs both its times", _("昼休みは、はじめと終わりの両方を入力してください。")),
    (r"lunch ends before it begins", _("昼休みの終わりが、はじめより前です。")),
    (r"nobody can tell which weeks .+", _("何週間かごとのときは、はじめの週を入力してください。")),
    (r"weekday (?P<day>\d) of (?P<code>.+) has two rhythms",
     _("%(code)sの同じ曜日に、ちがうくり返しがあります。ひとつにそろえてください。")),
    (r"(?P<code>.+) counts its weeks from two weeks", _("%(code)sのはじめの週が、2とおりあります。そろえてください。")),
    (r"ends before it begins", _("終わりの日が、はじめの日より前です。")),
    (r"(?P<code>.+) is discreet", _("「%(code)s」は、人に見られたくない手続きです。ここから外してください。")),
    (r"no form asks for .+, which it needs",
     _("オンラインでは聞けないことがふくまれます。オンラインは「できない」にしてください。")),
    (r"more than the town's (?P<n>\d+) days", _("町の予約のきまり（%(n)s日先まで）より長くなっています。")),
    (r"as long as the horizon, .+", _("これでは、だれも予約できません。数を小さくしてください。")),
    (r"above 1 it needs more_min and unit",
     _("2つ以上できるときは、「ひとつ増えるごとの時間」と「数え方」も入力してください。")),
    (r"more_min and unit are for a number above 1",
     _("1つだけのときは、「ひとつ増えるごとの時間」と「数え方」は書かないでください。")),
    (r"(?P<code>.+) comes before (?P<late>.+), after which it is to come",
     _("「%(code)s」が、先にするはずの「%(late)s」より上にあります。ならべかえてください。")),
    (r"(?P<code>.+) is not done online", _("「%(code)s」は、オンラインでできません。本人確認を消してください。")),
    (r"(?P<code>.+) is not partly done online, so that nothing is left to do",
     _("「%(code)s」は、「途中までできる」ではありません。ここを空にしてください。")),
    (r"no counter does (?P<code>.+)", _("「%(code)s」をする窓口がありません。郵便だけを選んでください。")),
    (r"(?P<code>.+) needs an appeal before a court, and has none",
     _("審査請求前置の手続きには、審査請求をする相手がいります。")),
    (r"the events contradict each other: (?P<way>.+)",
     _("くらしのできごとの「先にする手続き」が、ぐるぐる回っています：%(way)s")),
    (r"(?P<ja>.+) is said in two ways: .+",
     _("「%(ja)s」の言いかえが、ほかのところとちがいます。同じにするか、日本語を変えてください。")),
    (r"one of several parts has no name", _("欄が2つ以上あるときは、どの欄にも名前（英字）がいります。")),
    (r"a part asks within its own item", _("欄の条件は、同じ「書いてもらうこと」の中の欄で決めてください。")),
    (r".+ could be (?P<n>\d+) letters long, of at most (?P<most>\d+)",
     _("ぜんぶで%(n)s文字になることがあり、長すぎます（%(most)s文字まで）。長さか、くり返しの数を小さくしてください。")),
    (r"a choice between fewer than two", _("選択肢を、2つ以上足してください。")),
    (r"a .+ has no choices", _("選択肢は、種類が「ひとつ選ぶ」のときだけです。消してください。")),
    (r"less than at_least, or none", _("くり返しの多いほうは、少ないほう以上で、1以上にしてください。")),
    (r"less than .+", _("小さいほう・はじめより、大きくしてください。")),
    (r"digits without a length", _("「数字」のときは、長さ（けたの数）も入力してください。")),
    (r"a .+ has at most (?P<most>\d+)", _("この種類の長さは、%(most)sまでです。")),
    (r"a .+ comes once", _("1回分の欄は、種類が「人」「もの」のときだけです。消してください。")),
    (r"nothing is asked of each", _("1回分の欄を、1つ以上足してください。")),
    (r"(?P<code>.+) cannot be done online, so it has no form",
     _("「%(code)s」は、オンラインでできません。この用紙を消してください。")),
    (r".+ does not need (?P<item>.+)",
     _("この手続きは「%(item)s」を書いてもらいません。ここから消すか、手続きのほうに足してください。")),
    (r"(?P<item>.+) has no part (?P<part>.+)", _("「%(item)s」に、欄「%(part)s」はありません。選びなおしてください。")),
    (r"the form of .+ leaves out (?P<items>.+), which the procedure needs",
     _("手続きに書いてあって、用紙にないものがあります：%(items)s。まとまりに足してください。")),
    (r".+ depends on .+, which does not come before it",
     _("条件は、自分より上でたずねることの答えで決めます。順を変えるか、選びなおしてください。")),
    (r"a condition asks for a choice, a number or a day",
     _("条件に使えるのは、「ひとつ選ぶ」「数」「日」の答えだけです。")),
    (r"nothing that fits a .+", _("えらんだ質問に合うもの（答え、数、日）を、ひとつだけ決めてください。")),
    (r".+ would ask for (?P<n>\d+) fields of the town's own, of at most (?P<most>\d+)",
     _("町がきめた欄が%(n)sになります（%(most)sまで）。ひとつ消すか、くり返しの数を小さくしてください。")),
    *TEMPLATE_FLAWS,
)  # fmt: skip
_OTHER = _("つじつまが合いません（%(what)s）。")


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A problem at the record, and the field, where it is mended."""

    kind: str
    key: str
    parent: str
    field: str
    title: str
    said: str


def say_flaw(flaw: Flaw) -> str:
    """What is wrong, in Japanese."""
    for pattern, said in _SAID:
        if found := re.fullmatch(pattern, flaw.what):
            return translate(said) % found.groupdict()
    return translate(_OTHER) % {"what": flaw.what}


def is_known(flaw: Flaw) -> bool:
    """Whether there are words for it."""
    return any(re.fullmatch(pattern, flaw.what) for pattern, _said in _SAID)


def tell_flaws(flaws: Iterable[Flaw], pack: TownPack) -> list[Told]:
    """Each problem at the record that it stands at."""
    places = _records_by_place(pack)
    return [_told(flaw, pack, places) for flaw in flaws]


def _told(flaw: Flaw, pack: TownPack, places: Mapping[tuple[str, Place], tuple[Kind, str, str, int]]) -> Told:
    said = say_flaw(flaw)
    for length in range(len(flaw.place), -1, -1):
        found = places.get((flaw.file, flaw.place[:length]))
        if found is None:
            continue
        kind, key, parent, number = found
        rest = flaw.place[length:]
        field = str(rest[0]) if rest and rest[0] in {each.name for each in fields_of(kind)} else ""
        record = list_records(pack, kind, parent)[number]
        name = kind_name(kind) if kind.is_single else f"{kind_name(kind)} {record_title(kind, pack, record, number)}"
        title = f"{name}：{label_of(kind, field)}" if field else name
        return Told(kind=kind.name, key=key, parent=parent, field=field, title=title, said=said)
    return Told(kind="", key="", parent="", field="", title=flaw.file, said=said)


def _records_by_place(pack: TownPack) -> dict[tuple[str, Place], tuple[Kind, str, str, int]]:
    found: dict[tuple[str, Place], tuple[Kind, str, str, int]] = {}
    for kind in KINDS.values():
        for parent in list_parents(pack, kind):
            for number, record in enumerate(list_records(pack, kind, parent)):
                key = key_of(kind, record, number)
                found[kind.file, place_of(pack, kind, number, parent)] = (kind, key, parent, number)
    return found
