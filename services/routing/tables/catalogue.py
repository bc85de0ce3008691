"""The catalogue (手続きの一覧) as it was published, and the town pack it came from."""

from sqlalchemy import Boolean, CheckConstraint, Column, Integer, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from services.routing.tables.schema import TEXTS, TIME, metadata, town

catalogue = Table(
    "catalogue",
    metadata,
    town(),
    Column("version", Integer, nullable=False),
    # Of everything that is published: the same content is no new version.
    Column("content_hash", Text, nullable=False),
    Column("town_name_ja", Text, nullable=False),
    Column("town_phone", Text, nullable=False),
    Column("town_address_ja", Text, nullable=False),
    # What the town puts on its front page, in its order.
    Column("frequent", TEXTS, nullable=False, server_default="{}"),
    # The words of what people bring, and of deadlines: a list of {code, ja}.
    Column("things", JSONB, nullable=False, server_default="[]"),
    Column("deadlines", JSONB, nullable=False, server_default="[]"),
    # The office that keeps the residents' register, and says who is protected; empty: only managers do.
    Column("registrar", Text, nullable=False, server_default=""),
    # How a fee is paid for what is done online.
    Column("online_payment", TEXTS, nullable=False, server_default="{}"),
    # Whether payment, access and travel are the town's own word, or a sample.
    Column("places_confirmed", Boolean, nullable=False, server_default="true"),
    # The town's minutes for channels, and how its offices are reached: `domain/catalogue.py: ChannelRules`, `Office`.
    Column("channels", JSONB, nullable=False, server_default="{}"),
    Column("offices", JSONB, nullable=False, server_default="[]"),
    # A postal code of the town, for the example where one is typed; empty: there is none.
    Column("postal_example", Text, nullable=False, server_default=""),
    Column("published_at", TIME, nullable=False),
)

# The town pack (自治体の設定ファイル) as it was loaded, each time that it said something else: the files' own texts.
pack_version = Table(
    "pack_version",
    metadata,
    town(),
    Column("version", Integer, primary_key=True),
    Column("files", JSONB, nullable=False),
    Column("loaded_at", TIME, nullable=False),
)

procedure = Table(
    "procedure",
    metadata,
    town(),
    Column("code", Text, primary_key=True),
    Column("position", Integer, nullable=False),
    # No longer offered; kept, because cases and history name it.
    Column("withdrawn_at", TIME),
    Column("name_ja", Text, nullable=False),
    Column("name_plain_ja", Text, nullable=False),
    Column("name_en", Text, nullable=False),
    Column("kana", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("words", TEXTS, nullable=False),
    Column("office", Text, nullable=False),
    Column("online", Text, nullable=False),
    Column("counter", Text, nullable=False),
    Column("helper", Text, nullable=False),
    Column("counter_minutes", Integer, nullable=False),
    Column("fee_yen", Integer, nullable=False),
    Column("items", TEXTS, nullable=False),
    Column("identity", Text, nullable=False),
    Column("bring", TEXTS, nullable=False, server_default="{}"),
    Column("bring_online", TEXTS, nullable=False, server_default="{}"),
    # Codes of the town's things that are attached as files.
    Column("attach", TEXTS, nullable=False, server_default="{}"),
    Column("deadline", Text, nullable=False, server_default=""),
    Column("source", Text, nullable=False),
    Column("counters", TEXTS, nullable=False),
    Column("discreet", Boolean, nullable=False),
    # After the end of a case, what was given in it is kept so long.
    Column("retention_days", Integer, nullable=False, server_default="365"),
    # What its online form takes; none: it is estimated.
    Column("online_minutes", Integer),
)

# How the town's offices work on a procedure's applications: `domain/office.py: Rule`.
office_rule = Table(
    "office_rule",
    metadata,
    town(),
    Column("procedure", Text, primary_key=True),
    Column("process_days", Integer),
    Column("two_persons", Boolean, nullable=False),
    # A list of {code, ja}.
    Column("checks", JSONB, nullable=False),
    Column("appeal_to", Text, nullable=False),
    Column("appeal_first", Boolean, nullable=False),
    # Who says who sends it, by the name that the settings have; empty: nobody is asked.
    Column("identity_step", Text, nullable=False, server_default=""),
    # How what is only partly done online comes to its end, and what a letter has in it (codes of things).
    Column("finish", TEXTS, nullable=False, server_default="{}"),
    Column("enclose", TEXTS, nullable=False, server_default="{}"),
)

# Items that the town defines itself, and how its forms ask: `domain/town_items.py`. An item that the pack no longer has
# is withdrawn, not removed: somebody's case may hold a value.
town_item = Table(
    "town_item",
    metadata,
    town(),
    Column("code", Text, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("content", JSONB, nullable=False),
    Column("withdrawn_at", TIME),
)

procedure_form = Table(
    "procedure_form",
    metadata,
    town(),
    Column("procedure", Text, primary_key=True),
    Column("groups", JSONB, nullable=False),
)

counter = Table(
    "counter",
    metadata,
    town(),
    Column("code", Text, primary_key=True),
    Column("number", Text, nullable=False),
    Column("name_ja", Text, nullable=False),
    Column("office", Text, nullable=False),
    Column("place_ja", Text, nullable=False),
    # A counter (窓口), or a venue where helpers meet residents.
    Column("kind", Text, nullable=False, server_default="counter"),
    # How a fee is paid here, what is here for those who need it, and how to get here, as the town says.
    Column("payment", TEXTS, nullable=False, server_default="{}"),
    Column("access", TEXTS, nullable=False, server_default="{}"),
    Column("travel_ja", Text, nullable=False, server_default=""),
    # How long the way from each district takes: `domain/catalogue.py: Travel`.
    Column("travels", JSONB, nullable=False, server_default="[]"),
    CheckConstraint("kind IN ('counter', 'venue')", name="kind"),
)

# A life event (ライフイベント) with its questions and steps: the town's own data, in its own words.
life_event = Table(
    "life_event",
    metadata,
    town(),
    Column("code", Text, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("name", JSONB, nullable=False),
    Column("intro", JSONB, nullable=False),
    Column("questions", JSONB, nullable=False),
    Column("steps", JSONB, nullable=False),
)
