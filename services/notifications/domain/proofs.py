"""Proving a way (届くか確かめる): how long a code opens it, how often it is tried, and how many are sent."""

from datetime import timedelta

from services.notifications.domain.ways import WayKind

CODE_LENGTH = 6
# Time enough to look for the message; a code that nobody used is soon over.
CODE_LIFETIME = timedelta(minutes=15)
# Of a million. The database refuses more.
CODE_TRIES_MAX = 5
# Nobody's phone rings all day by somebody else's doing: so many for one contact, and for one address whosever it is.
ASKINGS_MAX = 5
ASKINGS_WITHIN = timedelta(hours=1)
# What is counted is forgotten after this.
ASKINGS_KEPT = timedelta(days=1)
# To others nothing can be sent that is typed minutes later: who picks up is asked who they are, and a letter that does
# not arrive comes back to the town.
PROVED_BY_CODE: tuple[WayKind, ...] = ("email", "sms")
