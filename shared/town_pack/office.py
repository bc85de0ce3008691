"""`office.toml` of a town pack: how the town's offices work on applications, for the procedures of which it says so."""

from typing import Annotated, Literal

import msgspec

CHECKS_MAX = 20
ENCLOSE_MAX = 10
Days = Annotated[int, msgspec.Meta(ge=1, le=200)]
_Code = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,20}$")]
_ThingCode = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_]{1,40}$")]
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A point that the office goes through before it completes an application. Only staff read it."""

    code: _Code
    ja: _Text


class OfficeRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is different for a procedure. `process_days` are working days (標準処理期間, 行政手続法6条).

    `two_persons`: whoever accepted does not complete. `appeal_to`: whom an appeal against a refusal goes to (審査請求);
    empty: what is decided is no disposition (処分), and there is none. `appeal_first`: the law opens a court only after
    the appeal was decided (審査請求前置).

    `identity_step` names who says who sends it online (本人確認): a provider of the settings (`identity_providers`).
    Empty: nobody is asked, and the office checks afterwards. `finish`: how what is only partly done online comes to its
    end, empty: by both; `enclose` are codes of `things` that a letter has in it.
    """

    procedure: _Code
    process_days: Days | None = None
    two_persons: bool = False
    checks: Annotated[tuple[Check, ...], msgspec.Meta(max_length=CHECKS_MAX)] = ()
    appeal_to: str | None = None
    appeal_first: bool = False
    identity_step: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_-]{0,40}$")] = ""
    finish: tuple[Literal["counter", "post"], ...] = ()
    enclose: Annotated[tuple[_ThingCode, ...], msgspec.Meta(max_length=ENCLOSE_MAX)] = ()


class OfficeRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file. At the top what holds for every procedure; a town that names nobody has its head decide appeals
    (町長 and the like, 行政不服審査法4条)."""

    process_days: Days | None = None
    appeal_to: Annotated[str, msgspec.Meta(max_length=100)] = ""
    procedures: tuple[OfficeRule, ...] = ()
