"""The way to `/office/behalf`, from wherever somebody who is signed in begins a procedure."""

from urllib.parse import urlencode

from services.routing.domain.behalf import BEHALF
from services.routing.domain.catalogue import CHANNELS, is_code

ENTRY = "/office/behalf"
UNKNOWN = "procedure_unknown"
UNSAID = "unsaid"
# What a way to do it can be refused for: said at its field.
CHANNEL_REFUSALS = frozenset({"channel_impossible", "channel_not_ready"})
_SAYS = {"channel": CHANNELS, "behalf": BEHALF, "refused": (*CHANNEL_REFUSALS, UNSAID)}


def behalf_path(procedure: str, **said: str) -> str:
    """Where staff say for whom they begin a procedure. `said`: closed choices and codes, nothing of anybody."""
    if not is_code(procedure):
        return f"{ENTRY}?refused={UNKNOWN}"
    known = {name: value for name, value in said.items() if value in _SAYS[name]}
    return f"{ENTRY}/{procedure}" + (f"?{urlencode(known)}" if known else "")
