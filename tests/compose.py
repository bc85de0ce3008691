"""`docker-compose.yml` as it would be read by an engine, as far as tests need it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

COMPOSE_FILE = Path(__file__).resolve().parent.parent / "docker-compose.yml"
Compose = dict[str, Any]
# `${NAME:-default}`, or `${NAME:?what it is}`, which compose asks for.
ASKED = re.compile(r"\$\{([A-Z_]+):([-?])([^}]*)\}")


def read_compose() -> Compose:
    """The file, its anchors resolved and its variables not."""
    found: Compose = yaml.safe_load(COMPOSE_FILE.read_text("utf-8"))
    return found


def environ_of(service: Compose, folder: Path, given: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a process sees: the operator's variables, and the secrets' files in a folder of ours.

    What compose would ask for and nobody gave is a mail server.
    """
    answers = given or {}

    def answer(asked: re.Match[str]) -> str:
        return answers.get(asked[1]) or (asked[3] if asked[2] == "-" else "smtp://given:25")

    return {
        name: ASKED.sub(answer, str(value)).replace("/run/secrets/", f"{folder}/")
        for name, value in service.get("environment", {}).items()
    }
