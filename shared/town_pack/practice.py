"""A town's pack as its practice town has it: the same counters, procedures and rules, by a name of its own.

It is open at any hour, and what leads out of the house is left out.
"""

from collections.abc import Mapping
from datetime import time
from urllib.parse import urlsplit, urlunsplit

from shared.practice import HOST_PREFIX, practice_code
from shared.town_pack.csv_text import change_line
from shared.town_pack.reading import read_files
from shared.town_pack.schema import OFFICE_FILE, PROCEDURES_FILE, TOWN_FILE
from shared.town_pack.templates import TEMPLATES_FILE
from shared.town_pack.toml_text import add_table, change_table, remove_table

NAME_MARK, NAME_MARK_EN = "（練習）", " (practice)"
# Staff practise when the counters are closed, too; and what is bookable for weeks is of no use to them.
OPENS_AT, CLOSES_AT = time(0, 0), time(23, 45)
WEEKDAYS = list(range(1, 8))
BOOKING = {"horizon_days": 3, "notice_min": 0, "cancel_until_min": 0, "holidays": False, "year_end": False}
OWN_BOOKING = {"horizon_days": "", "notice_min": ""}


def practice_files(files: Mapping[str, str], number: int, base_url: str) -> dict[str, str]:
    """The files of the practice town of this number. `base_url`: where the real town answers."""
    pack = read_files(files)
    url = urlsplit(base_url)
    hosts = dict.fromkeys(HOST_PREFIX + host.lower() for host in (url.hostname or "", *pack.town.hosts) if host)
    facts = {
        "code": practice_code(pack.town.code, number),
        "name_ja": pack.town.name_ja + NAME_MARK,
        "name_en": pack.town.name_en + NAME_MARK_EN,
        "hosts": list(hosts),
        "public_url": urlunsplit(url._replace(netloc=HOST_PREFIX + url.netloc)),
    }
    text = change_table(files[TOWN_FILE], ("town",), facts)
    text = change_table(text, ("booking",), BOOKING)
    for _ in pack.closures:
        text = remove_table(text, ("closures", 0))
    for _ in pack.opening[1:]:
        text = remove_table(text, ("opening", 0))
    opening = {
        "counters": [*(each.code for each in pack.counters), *(each.code for each in pack.venues)],
        "weekdays": WEEKDAYS,
        "opens_at": OPENS_AT,
        "closes_at": CLOSES_AT,
    }
    text = remove_table(add_table(text, ("opening",), opening), ("opening", 0))
    # Its own messages may be too long with the name of the practice town; ours say the same.
    made = {name: each for name, each in files.items() if name != TEMPLATES_FILE} | {TOWN_FILE: text}
    for position, each in enumerate(pack.procedures):
        if each.horizon_days is not None or each.notice_min is not None:
            made[PROCEDURES_FILE] = change_line(made[PROCEDURES_FILE], position, OWN_BOOKING)
    if OFFICE_FILE in files:
        # Who says who somebody is (本人確認) is somebody else's house.
        for position, rule in enumerate(pack.office.procedures):
            if rule.identity_step:
                made[OFFICE_FILE] = change_table(made[OFFICE_FILE], ("procedures", position), {"identity_step": None})
    return made
