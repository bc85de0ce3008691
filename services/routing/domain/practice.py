"""Who comes to a practice town: invented people, known as such by their names."""

from typing import Literal

import msgspec

SURNAME, SURNAME_KANA = "練習", "れんしゅう"
GIVEN = (
    ("一郎", "いちろう"), ("花子", "はなこ"), ("次郎", "じろう"), ("みどり", "みどり"), ("三郎", "さぶろう"),
    ("さくら", "さくら"), ("四郎", "しろう"), ("あおい", "あおい"), ("五郎", "ごろう"), ("ゆり", "ゆり"),
    ("六郎", "ろくろう"), ("すみれ", "すみれ"), ("七郎", "しちろう"), ("つばき", "つばき"), ("八郎", "はちろう"),
    ("かえで", "かえで"), ("九郎", "くろう"), ("もも", "もも"), ("十郎", "じゅうろう"), ("うめ", "うめ"),
)  # fmt: skip
# So many come to counters, one to a helper, and the rest apply online.
AT_COUNTERS, WITH_HELPER = 14, 1
PEOPLE = len(GIVEN)
# What anybody of them says of themselves; no procedure that asks for more is done online by them.
KNOWN = ("name", "kana", "birth_date", "address", "phone", "sex")


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """One of them. `values` are items, as the vault keeps them; the address leads nowhere (RFC 2606)."""

    number: int
    channel: Literal["counter", "helper", "online"]
    values: dict[str, str]
    mail: str


def invent_person(number: int) -> Person:
    """The person of this number, from 0: always the same."""
    given, kana = GIVEN[number % PEOPLE]
    channel: Literal["counter", "helper", "online"] = "online"
    if number < AT_COUNTERS + WITH_HELPER:
        channel = "counter" if number < AT_COUNTERS else "helper"
    values = {
        "name": f"{SURNAME} {given}",
        "kana": f"{SURNAME_KANA} {kana}",
        "birth_date": f"{1940 + number * 4}-0{1 + number % 9}-1{number % 10}",
        "address": msgspec.json.encode({"line": f"練習町{number + 1}番地", "postal_code": "0000000"}).decode(),
        "phone": f"090000000{number:02}",
        "sex": "unspecified",
    }
    return Person(number=number, channel=channel, values=values, mail=f"renshu{number:02}@example.com")
