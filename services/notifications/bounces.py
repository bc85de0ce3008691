"""Reads the bounces that a mail server has put into a maildir: `python -m services.notifications.bounces FOLDER`.

For a timer. What was read is moved to `cur` and marked as seen; what cannot be read stays there too, for a person.
A mail server that rather calls somebody brings them to `POST /notifications/api/bounces`.
"""

import asyncio
import mailbox
import os
import sys

from services.notifications.commands.bounces import record_bounce
from services.notifications.settings import Settings, load_settings
from services.notifications.tables import SERVICE
from shared.clock import Clock, clock_from
from shared.db import Database
from shared.log import configure_logging, get_logger
from shared.settings import MissingSettings

log = get_logger(__name__)

BATCH = 1_000
BAD_USE = 2


async def read_maildir(folder: str, db: Database, clock: Clock) -> int:
    """Record every new bounce of a maildir, and mark it as seen; return how many spoke of a notice of ours."""
    box = mailbox.Maildir(folder, create=False)
    known = 0
    for key in list(box.keys())[:BATCH]:
        mail = box.get_message(key)
        if mail.get_subdir() != "new":
            continue
        try:
            known += await record_bounce(db, box.get_bytes(key), now=clock()) is not None
        except ValueError:
            log.warning("bounce_not_read")
        # After it was recorded: whoever dies in between reads it again, and it says nothing new.
        mail.set_subdir("cur")
        mail.add_flag("S")
        box[key] = mail
    return known


async def _run(folder: str, settings: Settings, clock: Clock) -> int:
    db = Database(settings.database_url, service=SERVICE, pool_size=settings.database_pool_size)
    try:
        return await read_maildir(folder, db, clock)
    finally:
        await db.dispose()


def main() -> int:
    """Read one folder. Returns the exit status."""
    configure_logging(SERVICE)
    try:
        [folder] = sys.argv[1:]
        known = asyncio.run(_run(folder, load_settings(os.environ), clock_from(os.environ)))
    except ValueError:
        sys.stderr.write("usage: python -m services.notifications.bounces MAILDIR\n")
        return BAD_USE
    except (MissingSettings, mailbox.NoSuchMailboxError) as error:
        sys.stderr.write(f"{error}\n")
        return BAD_USE
    log.info("bounces_read", count=known)
    return 0


if __name__ == "__main__":
    sys.exit(main())
