"""A town pack: everything about a municipality that is data.

One folder: `town.toml`, `procedures.csv`, and if the town has any, `life_events.toml`, `office.toml`, `items.toml` and
`templates.toml`.
Routing loads the catalogue from it, booking the opening rules, notifications the reminder rules. `schema` says what may
stand in the files, `reading` reads them, `checking` finds what contradicts itself, and `problems` says it: file, line,
what to do.
"""

from shared.town_pack.items import ITEMS_FILE
from shared.town_pack.problems import BadTownPack, Problem
from shared.town_pack.reading import find_files, read_files, read_town_pack
from shared.town_pack.schema import (
    FILE_MAX_BYTES,
    FREQUENT_MAX,
    LIFE_EVENTS_FILE,
    OFFICE_FILE,
    PROCEDURES_FILE,
    RETENTION_DAYS,
    TOWN_FILE,
    Access,
    BookingRules,
    ChannelRules,
    Closure,
    Counter,
    LifeEvent,
    Name,
    NoticeRules,
    Office,
    Opening,
    Payment,
    Procedure,
    Question,
    QueueRules,
    Step,
    TownFacts,
    TownPack,
    Venue,
    Walk,
    Words,
)

__all__ = [
    "FILE_MAX_BYTES",
    "FREQUENT_MAX",
    "ITEMS_FILE",
    "LIFE_EVENTS_FILE",
    "OFFICE_FILE",
    "PROCEDURES_FILE",
    "RETENTION_DAYS",
    "TOWN_FILE",
    "Access",
    "BadTownPack",
    "BookingRules",
    "ChannelRules",
    "Closure",
    "Counter",
    "LifeEvent",
    "Name",
    "NoticeRules",
    "Office",
    "Opening",
    "Payment",
    "Problem",
    "Procedure",
    "Question",
    "QueueRules",
    "Step",
    "TownFacts",
    "TownPack",
    "Venue",
    "Walk",
    "Words",
    "find_files",
    "read_files",
    "read_town_pack",
]
