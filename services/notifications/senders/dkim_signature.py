"""DKIM (RFC 6376): the signature by which a mailbox knows that a mail is the town's, and unchanged."""

from email import message_from_bytes, policy

import dkim

# What a reader sees or acts upon. Named twice (RFC 6376, 8.15), none of them can be added on the way.
SIGNED = (b"From", b"To", b"Subject", b"Date", b"Message-ID", b"MIME-Version", b"Content-Type", b"List-Unsubscribe")
PROBE = b"From: probe@example.jp\r\nSubject: probe\r\n\r\nprobe\r\n"


class DkimKey:
    """A private key (PEM, RSA). Without a domain of its own it signs for the domain of whom a mail is from."""

    def __init__(self, private_key: str, selector: str, domain: str = "") -> None:
        self._key = private_key.encode()
        self._selector = selector.encode("ascii")
        self._domain = domain
        try:
            self._signature(PROBE, "example.jp")
        except (dkim.DKIMException, ValueError) as error:
            # Told at the start, and not by each mail.
            raise ValueError("CHOUDO_NOTIFICATIONS_DKIM_KEY is no RSA key in PEM") from error

    def sign(self, mail: bytes) -> bytes:
        """The mail with its signature before it."""
        domain = self._domain or str(message_from_bytes(mail, policy=policy.default)["From"].addresses[0].domain)
        return self._signature(mail, domain) + mail

    def _signature(self, mail: bytes, domain: str) -> bytes:
        made: bytes = dkim.sign(
            mail,
            self._selector,
            domain.encode("idna"),
            self._key,
            canonicalize=(b"relaxed", b"relaxed"),
            include_headers=[*SIGNED, b"From", b"Subject"],
        )
        return made
