"""Write the secrets that ``docker-compose.yml`` mounts: ``python -m deploy.compose_secrets [folder]``.

Run it once before the first ``docker compose up``; run again, it changes nothing. One file per variable, readable by
its owner only, in ``.choudo/compose`` unless another folder is given. There are no default passwords. What others give
is theirs (the SMS gateway's token, further providers, LINE's channels, the mail server's authority, the key that signs
mail, the token of who brings bounces): write it into its file. What nobody needs stays empty.
"""

import json
import os
import secrets
import sys
from pathlib import Path
from typing import Final
from urllib.parse import quote

from deploy.local.servers import write_private
from deploy.secrets import load_environment

PASSWORD_BYTES: Final = 24
# What nobody may need, and a file that says nothing of it.
EMPTY: Final = frozenset(
    f"CHOUDO_NOTIFICATIONS_{name}" for name in ("PROVIDERS", "LINE_CHANNELS", "SMTP_CA", "DKIM_KEY")
)
BOUNCE_TOKEN: Final = "CHOUDO_NOTIFICATIONS_BOUNCE_TOKEN"  # noqa: S105  where it is kept, not what it is
# What others give: drawn here at first, so that there is a file, and theirs once somebody has written it there.
THEIRS: Final = EMPTY | {"CHOUDO_SMS_GATEWAY_TOKEN", BOUNCE_TOKEN}
# The user of the image; a mounted file keeps its owner from outside.
IMAGE_USER: Final = 10001


def write_secrets(folder: Path) -> list[Path]:
    """Write what is not there yet and return the files."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = folder / "servers.json"
    if not kept.exists():
        made = {name: secrets.token_urlsafe(PASSWORD_BYTES) for name in ("postgres", "redis")}
        write_private(kept, json.dumps(made).encode())
    passwords: dict[str, str] = json.loads(kept.read_text())
    admin_url = f"postgresql://postgres:{quote(passwords['postgres'])}@postgres:5432/postgres"
    redis_url = f"redis://:{quote(passwords['redis'])}@valkey:6379/0"
    values = load_environment(folder, database_url=admin_url, redis_url=redis_url, environ={}) | {
        "DATABASE_URL": admin_url,
        "POSTGRES_PASSWORD": passwords["postgres"],
        "VALKEY_CONF": "\n".join(
            ("bind 0.0.0.0", f"requirepass {passwords['redis']}", "appendonly yes", "appendfsync everysec",
             "maxmemory-policy noeviction", "dir /data", "")
        ),
        BOUNCE_TOKEN: secrets.token_urlsafe(PASSWORD_BYTES),
        **dict.fromkeys(EMPTY, ""),
    }  # fmt: skip
    written = []
    for name, value in values.items():
        path = folder / name
        if not path.exists() or (path.read_text() != value and name not in THEIRS):
            write_private(path, value.encode())
        if os.geteuid() == 0:
            os.chown(path, IMAGE_USER, IMAGE_USER)
        written.append(path)
    return written


def main() -> int:
    """Write them and say where they are."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".choudo/compose")
    print(f"{len(write_secrets(folder))} files in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
