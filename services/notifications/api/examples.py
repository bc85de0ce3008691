"""What bodies and answers look like, for the description of the API: of a town as the sample town is, and of nobody."""

from datetime import UTC, datetime
from uuid import UUID

from services.notifications.domain.asked import Mistake
from services.notifications.queries_of_systems import NoticeView, Tried

ID = UUID("8d1f7f0e-6a3b-4c58-9f2d-0a4c5b6e7f81")
NOW = datetime(2026, 12, 1, 0, 0, tzinfo=UTC)
ASKED = {
    "recipient": {"number": "K4M7RXA"},
    "kind": "town_notice",
    "texts": {
        "ja": {
            "subject": "本の返却のお願い",
            "body": "お借りの本の返却日が、きのうでした。図書館へお返しください。",
            "short": "お借りの本をお返しください",
        },
        "en": {"subject": "Please return your books", "body": "Your books were due yesterday."},
    },
    "reference": "loan-48211",
}
PROBLEM = Mistake("/texts/ja/subject", "too_long", "at most 100 letters")
VIEW = NoticeView(
    id=ID,
    reference="loan-48211",
    kind="town_notice",
    state="delivered",
    reason=None,
    accepted_at=NOW,
    useful_until=NOW,
    settled_at=NOW,
    ways=(Tried(way="sms", at=NOW, outcome="accepted", delivery="delivered"),),
)
