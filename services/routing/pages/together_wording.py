"""The words of a case's steps for the helper beside its person: what is asked, why, and where to find it."""

from typing import Any

from services.routing.commands.online import OnlineCase
from services.routing.domain.meetings import Step
from services.routing.domain.open_pages import list_groups, page_of
from services.routing.domain.town_items import FormItem, town_item_name
from services.routing.pages.item_labels import part_hint, part_label
from services.routing.pages.wording import ITEMS, OTHER_ITEM, item_name
from shared.web.i18n import gettext, translate
from shared.web.town_texts import town_text


def _(message: str) -> str:
    """Marks a text for the catalogues."""
    return message


_TITLES = {
    "reuse": _("前に書いたことを使うか"),
    "attach": _("写真や書類を入れる"),
    "identity": _("本人確認"),
    "reach": _("お知らせの受けとり方"),
    "send": _("確かめて送る"),
    "names": _("お名前と連絡のしかた"),
    "handover": _("わたす情報の確認"),
    "book": _("日にちと時間"),
}
_WORDS = {
    "items": _("手続きをするために、役場が使います。書きたくないところや、わからないところは、空けたまま進めます。"),
    "reuse": _("前の手続きで書いたことを使うかどうかを、ご本人が決めます。使わなくても、同じように進めます。"),
    "attach": _("書類を明るいところに置き、4つの角が入るように、ご本人が写真をとります。写真の中は見ません。"),
    "identity": _("ご本人が、別の画面で行います。暗証番号を入れるあいだは、画面から目をはなします。"),
    "reach": _(
        "役場からの返事を、メールやSMSで受けとるか、受けとらないかを選びます。どれを選んでも、手続きはできます。"
    ),
    "send": _("ご本人が、まちがいがないかを読んで、ご自分で「送る」を押します。かわりに押しません。"),
    "names": _("お名前とお知らせの受けとり方を書きます。書きたくないところは、空けたまま進めます。"),
    "handover": _(
        "役場のほかの係に、書いたことをわたしてよいかを、ご本人が決めます。ことわっても、同じように予約できます。"
    ),
    "book": _("ご本人が、来られる日と時間を選びます。"),
}


def step_title(step: Step) -> str:
    """What a step is called: its heading in the form, or what it asks for."""
    if step.kind != "items":
        return translate(_TITLES[step.kind])
    return town_text(step.heading) if step.heading else gettext("、").join(item_name(item) for item in step.items)


def page_titles(online: OnlineCase) -> dict[str, str]:
    """What each part of a case's form is called in Japanese, by its key: its heading, or the item that it asks for."""
    return {
        page_of(items): heading or town_item_name(items[0]) or ITEMS.get(items[0], OTHER_ITEM)
        for heading, items in list_groups(online.form, online.needed)
    }


def explain(step: Step) -> dict[str, Any]:
    """What a step asks for, field by field, with the hints that the person reads too; and why."""
    items = step.items if step.kind == "items" else ()
    return {
        "why": translate(_WORDS[step.kind]),
        "asked": [
            {
                "label": item_name(item),
                "parts": [
                    {"label": part_label(item, part), "hint": part_hint(item, part)}
                    for part in FormItem(item=item).parts()
                ],
            }
            for item in items
        ],
    }
