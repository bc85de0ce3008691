"""A calendar as a person's program keeps it: a strict reader of iCalendar (RFC 5545), which shares nothing with the
library that writes ours, and the rules by which invitations are applied (iTIP, RFC 5546).
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage

LINE_MAX_OCTETS = 75
_LINE = re.compile(
    r'(?P<name>[A-Z0-9-]+)(?P<params>(?:;[A-Z0-9-]+=(?:"[^"\x00-\x08\x0a-\x1f]*"|[^";:,\x00-\x08\x0a-\x1f]*))*):(?P<value>.*)'
)
_PARAM = re.compile(r';([A-Z0-9-]+)=(?:"([^"]*)"|([^";:,]*))')
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_MEANS = {"n": "\n", "N": "\n", ",": ",", ";": ";", "\\": "\\"}
ONCE = {"UID", "DTSTAMP", "DTSTART", "DTEND", "SEQUENCE", "SUMMARY", "LOCATION", "DESCRIPTION", "STATUS", "ORGANIZER"}
NEEDED = {
    "REQUEST": {"UID", "DTSTAMP", "DTSTART", "SEQUENCE", "SUMMARY", "ORGANIZER", "ATTENDEE"},
    "CANCEL": {"UID", "DTSTAMP", "SEQUENCE", "ORGANIZER", "ATTENDEE"},
}
TEXTS = {"SUMMARY", "LOCATION", "DESCRIPTION"}


class Malformed(Exception):
    """Not iCalendar."""


@dataclass
class Property:
    name: str
    params: dict[str, str]
    value: str


@dataclass
class Invitation:
    """What one `text/calendar` says: the method, and its one event."""

    method: str
    properties: dict[str, Property]

    def text(self, name: str) -> str:
        found = self.properties[name].value
        return unescape(found) if name in TEXTS else found

    def moment(self, name: str) -> datetime:
        value = self.text(name)
        if not re.fullmatch(r"\d{8}T\d{6}Z", value):
            raise Malformed(f"{name}: no moment in UTC")
        return datetime.strptime(value, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)

    @property
    def age(self) -> tuple[int, datetime]:
        """Which of two about the same is newer (RFC 5546, 2.1.5)."""
        return int(self.text("SEQUENCE")), self.moment("DTSTAMP")


def unescape(value: str) -> str:
    """The text as it was before it was written."""
    if re.search(r"(?<!\\)(?:\\\\)*[,;]", value):
        raise Malformed("a comma or semicolon that is not escaped")

    def meaning(found: re.Match[str]) -> str:
        if found[1] not in _MEANS:
            raise Malformed(f"\\{found[1]}")
        return _MEANS[found[1]]

    return _ESCAPE.sub(meaning, value)


def read_lines(raw: bytes) -> list[Property]:
    """The content lines, unfolded."""
    if not raw.endswith(b"\r\n"):
        raise Malformed("the last line has no end")
    physical = raw[:-2].split(b"\r\n")
    for octets in physical:
        if len(octets) > LINE_MAX_OCTETS:
            raise Malformed(f"{len(octets)} octets in a line")
        if re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", octets):
            raise Malformed("a control character")
        # The standard would let a character be cut in two; programs that read line by line would show rubbish.
        octets.decode()
    unfolded = b"\r\n".join(physical).replace(b"\r\n ", b"").replace(b"\r\n\t", b"").decode()
    properties = []
    for line in unfolded.split("\r\n"):
        found = _LINE.fullmatch(line)
        if found is None:
            raise Malformed(line)
        params = {name: quoted or plain for name, quoted, plain in _PARAM.findall(found["params"])}
        properties.append(Property(found["name"], params, found["value"]))
    return properties


def read_invitation(raw: bytes) -> Invitation:
    """Raises Malformed if anything is not as it should be."""
    lines = read_lines(raw)
    frames = [(line.name, line.value) for line in lines if line.name in ("BEGIN", "END")]
    if frames != [("BEGIN", "VCALENDAR"), ("BEGIN", "VEVENT"), ("END", "VEVENT"), ("END", "VCALENDAR")]:
        raise Malformed("one calendar with one event")
    begin, end = (next(at for at, line in enumerate(lines) if (line.name, line.value) == (name, "VEVENT"))
                  for name in ("BEGIN", "END"))  # fmt: skip
    head = {line.name: line.value for line in lines[:begin]}
    if head.get("VERSION") != "2.0" or not head.get("PRODID") or head.get("METHOD") not in NEEDED:
        raise Malformed("VERSION, PRODID, METHOD")
    event = lines[begin + 1 : end]
    names = [line.name for line in event]
    if twice := {name for name in names if name in ONCE and names.count(name) > 1}:
        raise Malformed(f"more than once: {twice}")
    if missing := NEEDED[head["METHOD"]] - set(names):
        raise Malformed(f"missing: {missing}")
    return Invitation(head["METHOD"], {line.name: line for line in event})


def invitations_of(content: bytes) -> tuple[Invitation, Invitation]:
    """What a mail as it came over the wire brings: for programs that read its parts, and for those that read files."""
    mail = message_from_bytes(content, policy=policy.default)
    parts: list[EmailMessage] = [part for part in mail.walk() if part.get_content_type() == "text/calendar"]
    inline, attached = parts
    found = []
    for part in (inline, attached):
        raw = part.get_payload(decode=True)
        assert isinstance(raw, bytes)
        invitation = read_invitation(raw)
        if part.get_param("method") != invitation.method:
            raise Malformed("the part says another method than the calendar")
        found.append(invitation)
    assert attached.get_content_disposition() == "attachment"
    return found[0], found[1]


@dataclass
class Book:
    """Somebody's calendar: takes what is newer, and forgets what is cancelled."""

    entries: dict[str, Invitation] = field(default_factory=dict)
    _newest: dict[str, tuple[int, datetime]] = field(default_factory=dict)

    def apply(self, invitation: Invitation) -> None:
        uid = invitation.text("UID")
        if uid in self._newest and invitation.age <= self._newest[uid]:
            return
        self._newest[uid] = invitation.age
        if invitation.method == "CANCEL":
            self.entries.pop(uid, None)
        else:
            self.entries[uid] = invitation

    @property
    def times(self) -> list[tuple[datetime, datetime]]:
        return sorted((entry.moment("DTSTART"), entry.moment("DTEND")) for entry in self.entries.values())
