"""Numbers as Japan's gateways want them."""

COUNTRY_CODE = "+81"


def domestic_number(e164: str) -> str:
    """`+819012345678` → `09012345678`; a number of another country stays as it is."""
    return "0" + e164.removeprefix(COUNTRY_CODE) if e164.startswith(COUNTRY_CODE) else e164
