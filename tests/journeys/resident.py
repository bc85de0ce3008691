"""A resident without JavaScript: reads pages, fills in their forms, follows where they lead."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Self

import httpx

TIMEOUT_S = 60.0


@dataclass
class Form:
    """A form as it stands on a page: where it goes, its fields as they would be sent, and its buttons."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    choices: dict[str, list[str]] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []
        self._open: Form | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._open = Form(given.get("action", ""), given.get("method", "get").lower())
            self.found.append(self._open)
        elif self._open is not None and tag in ("input", "button", "select", "textarea"):
            self._note(self._open, tag, given)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None

    @staticmethod
    def _note(form: Form, tag: str, given: dict[str, str]) -> None:
        name, kind = given.get("name", ""), given.get("type", "text")
        if tag == "button" and "disabled" not in given:
            form.buttons.append((name, given.get("value", "")))
        elif kind in ("radio", "checkbox"):
            form.choices.setdefault(name, []).append(given.get("value", ""))
            if "checked" in given:
                form.fields[name] = given.get("value", "")
        elif name and tag != "button":
            form.fields[name] = given.get("value", "")


def read_forms(html: str) -> list[Form]:
    """All forms of a page."""
    parser = _Forms()
    parser.feed(html)
    return parser.found


class Resident:
    """One browser's worth of cookies, and the page it is on."""

    def __init__(self, url: str, transport: httpx.BaseTransport | None = None) -> None:
        self._client = httpx.Client(
            base_url=url,
            follow_redirects=True,
            timeout=TIMEOUT_S,
            headers={"sec-fetch-site": "same-origin"},
            transport=transport,
        )
        self.page = httpx.Response(204)

    def __enter__(self) -> Self:
        return self

    def beside(self) -> "Resident":
        """Another window of the same browser: whoever has signed in here has signed in there."""
        window = Resident(str(self._client.base_url))
        window._client.cookies.update(self._client.cookies)
        return window

    def __exit__(self, *_: object) -> None:
        self._client.close()

    @property
    def path(self) -> str:
        """Where the resident is."""
        return self.page.url.path

    def get(self, path: str) -> httpx.Response:
        """Open a page."""
        self.page = self._client.get(path)
        return self.page

    def form(self, ending: str, holding: Mapping[str, str] | None = None) -> Form:
        """The page's form whose action ends so and that holds these fields. Raises AssertionError with its text."""
        wanted = dict(holding or {}).items()
        for found in read_forms(self.page.text):
            if found.action.endswith(ending) and wanted <= found.fields.items():
                return found
        raise AssertionError(f"no form to {ending} on {self.page.url}:\n{self.page.text[-1500:]}")

    def send(self, ending: str, holding: Mapping[str, str] | None = None, **fields: str) -> httpx.Response:
        """Send a form with these fields instead of what it held."""
        form = self.form(ending, holding)
        given = form.fields | fields
        where = {"params": given} if form.method == "get" else {"data": given}
        referer = {"referer": str(self.page.url)}
        self.page = self._client.request(form.method, form.action, headers=referer, **where)  # type: ignore[arg-type]
        return self.page

    def book(self, procedure: str = "CHI02", *, name: str = "", reach: str = "none", contact: str = "") -> str:
        """The whole way to an appointment; return its number without the dash."""
        self.get(f"/procedures/{procedure}")
        self.send("/cases", holding={"channel": "counter"})
        assert self.path.endswith("/you"), self.page.text
        self.send("/you", name=name, reach=reach, email=contact, phone=contact)
        assert self.path.endswith("/handover"), self.page.text
        self.send("/handover", all="yes")
        self.send("/booking/arrive")
        assert self.path.startswith("/booking/visits/"), self.page.text
        button, slot = next((name, value) for name, value in self.form("/hold").buttons if value)
        self.send("/hold", None, **{button: slot})
        assert self.path.endswith("/confirm"), self.page.text
        self.send("/book")
        assert self.path.startswith("/booking/appointments/"), self.page.text
        return self.path.rsplit("/", 1)[-1]
