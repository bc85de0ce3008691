"""The statements of a command as they are sent, rendered as a script for pgbench.

A command is run once and its statements are recorded with their parameters. In the script each parameter is an
expression: what differs from one visit to the next is made from the transaction's number (`:i`), so that the same rows
are found and the same rows, of the same size, are written; everything else is the recorded value.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession

from shared.db import TOWN_SETTING, Database, Prepared

_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
HASH_BYTES = 32


class Statement(msgspec.Struct, frozen=True):
    """One statement, the names of its parameters, and one or (for a batch) several rows of values."""

    sql: str
    names: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@contextmanager
def recording(db: Database) -> Iterator[list[Statement]]:
    """Record every statement that is sent inside the block, by SQLAlchemy or by the driver."""
    recorded: list[Statement] = []
    send = Prepared.rows

    async def note_prepared(self: Prepared, session: AsyncSession, values: Mapping[str, Any]) -> Any:
        recorded.append(Statement(self.sql, self.names, (tuple(values[name] for name in self.names),)))
        return await send(self, session, values)

    def note(_c: Any, _cursor: Any, sql: str, parameters: Any, context: Any, executemany: bool) -> None:
        rows = parameters if executemany else [parameters]
        recorded.append(Statement(sql, tuple(context.compiled.positiontup or ()), tuple(tuple(row) for row in rows)))

    event.listen(db.engine.sync_engine, "before_cursor_execute", note)
    Prepared.rows = note_prepared  # type: ignore[method-assign]
    try:
        yield recorded
    finally:
        Prepared.rows = send  # type: ignore[method-assign]
        event.remove(db.engine.sync_engine, "before_cursor_execute", note)


def uuid_of(kind: int, number: int) -> UUID:
    """The id that the script makes for transaction `number`."""
    return UUID(f"{kind:08x}-0000-4000-8000-{number:012}")


class Script:
    """Renders recorded statements. `known` are expressions by parameter name, `kinds` the kinds of known ids."""

    def __init__(
        self, *, town: str, known: Mapping[str, str], kinds: Mapping[UUID, int], clients: int, first: int = 0
    ) -> None:
        self._town = town
        self._known = known
        self._kinds = dict(kinds)
        self._clients = clients
        self._first = first

    def render(self, statements: Sequence[Statement], *, remember: Mapping[int, str] | None = None) -> str:
        """The script. `remember` names the statements whose row becomes variables, with their prefix."""
        remember = remember or {}
        lines = ["\\set n :n + 1", f"\\set i {self._first} + (:n - 1) * {self._clients} + :client_id"]
        # In one message, as the product does.
        lines += ["\\startpipeline", "BEGIN;", f"SET LOCAL {TOWN_SETTING} = '{self._town}';", "\\endpipeline"]
        for number, statement in enumerate(statements):
            texts = [self._fill(statement, row) for row in statement.rows]
            if len(texts) > 1:  # a batch goes out in one round trip, in asyncpg as here
                lines += ["\\startpipeline", *(f"{text};" for text in texts), "\\endpipeline"]
            elif number in remember:
                lines.append(f"{texts[0]} \\gset {remember[number]}")
            else:
                lines.append(f"{texts[0]};")
        return "\n".join([*lines, "COMMIT;", ""])

    def _fill(self, statement: Statement, row: tuple[Any, ...]) -> str:
        values = {
            index: self._known.get(name) or self._expression(name, value)
            for index, (name, value) in enumerate(zip(statement.names, row, strict=True), 1)
        }
        return re.sub(r"\$(\d+)", lambda found: f"({values[int(found[1])]})", statement.sql).strip()

    def _expression(self, name: str, value: Any) -> str:
        match value:
            case None:
                return "NULL"
            case bool() | int():
                return str(value)
            case UUID():
                return self._id(value)
            case datetime():
                return f"to_timestamp({value.timestamp()})"
            case date():
                return f"'{value.isoformat()}'::date"
            case str():
                return f"lpad(:i::bigint::text, {len(value)}, 'B')" if name == "number" else self._text(value)
            case bytes() | memoryview():
                return self._bytes(bytes(value))
            case list() | tuple():
                return f"ARRAY[{', '.join(self._expression(name, item) for item in value)}]::text[]"
        raise TypeError(f"{name}: {type(value).__name__}")

    def _id(self, value: UUID) -> str:
        kind = self._kinds.setdefault(value, 1_000 + len(self._kinds))
        return f"('{kind:08x}-0000-4000-8000-' || lpad(:i::bigint::text, 12, '0'))::uuid"

    def _text(self, value: str) -> str:
        """Ids inside a text are this transaction's, too. Pgbench looks for `:` in literals, too."""
        parts, at = [], 0
        for found in _UUID.finditer(value):
            parts += [_constant(value[at : found.start()]), f"{self._id(UUID(found[0]))}::text"]
            at = found.end()
        parts.append(_constant(value[at:]))
        return " || ".join(part for part in parts if part) or "''"

    def _bytes(self, value: bytes) -> str:
        if len(value) == HASH_BYTES:
            return f"sha256(('{value[:2].hex()}' || :i::bigint::text)::bytea)"
        if value[:1] == b"{":
            return f"convert_to({self._text(value.decode())}, 'UTF8')"
        return f"'\\x{value.hex()}'::bytea"


def _constant(text: str) -> str:
    quoted = text.replace("\\", "\\\\").replace("'", "''").replace(":", "\\u003a")
    return f"E'{quoted}'" if text else ""
