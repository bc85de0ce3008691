"""The roles of those who sign in. An account may have several; a guard names those that may pass."""

from typing import Literal, get_args

Role = Literal[
    "counter", "kiosk", "back_office", "helper", "coordinator", "manager", "privacy_officer", "operator"
]  # fmt: skip
ROLES: tuple[Role, ...] = get_args(Role)
