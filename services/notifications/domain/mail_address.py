"""Addresses of mail as commands and headers may hold them."""

import re

# What ends a command or a header, or stands for another address. Nobody's mailbox has it.
_UNSAFE = re.compile(r"[\x00-\x20\x7f<>(),;:\\]")


def standard_address(address: str) -> str:
    """The address as the standard wants it: a local part that breaks it stands in quotation marks.

    Old addresses of docomo and au are such (`a..b@`, `a.@`). It is the same mailbox; a server that does not know it so
    refuses it, and the person is asked for another way.

    Raises:
        ValueError: it is none, or would say more than an address.
    """
    local, _, domain = address.rpartition("@")
    if not local or not domain or _UNSAFE.search(address) or '"' in address:
        raise ValueError("no address")
    is_odd = local.startswith(".") or local.endswith(".") or ".." in local
    return f'"{local}"@{domain}' if is_odd else address
