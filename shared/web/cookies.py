"""Our cookies: one place decides their names and what every one of them has.

Over HTTPS their names begin with `__Host-`, or with `__Secure-` when only a part of the site is to see them. Browsers
take such a name from this very host and over HTTPS alone, so no neighbour under the town's domain can put one in.
Plain HTTP (`make run`, tests) allows no such names.
"""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie

# Every cookie of ours has it in its name.
OURS = "choudo_"
WHOLE_SITE = "/"


def cookie_name(name: str, *, secure: bool, path: str = WHOLE_SITE) -> str:
    """What a cookie is called in the browser."""
    if not secure:
        return name
    return ("__Host-" if path == WHOLE_SITE else "__Secure-") + name


def make_cookie(name: str, value: str, *, max_age_s: int, secure: bool, path: str = WHOLE_SITE) -> Cookie:
    """A cookie for this host, which scripts cannot read and other sites' forms do not send."""
    return Cookie(
        key=cookie_name(name, secure=secure, path=path),
        value=value,
        path=path,
        max_age=max_age_s,
        httponly=True,
        secure=secure,
        samesite="lax",
    )


def gone_cookie(name: str, *, secure: bool, path: str = WHOLE_SITE) -> Cookie:
    """What makes a browser drop it. Browsers heed that only with what the name's beginning asks for."""
    return make_cookie(name, "", max_age_s=0, secure=secure, path=path)


def read_cookie(request: ASGIConnection[Any, Any, Any, Any], name: str, *, path: str = WHOLE_SITE) -> str | None:
    """The value that came with a request."""
    return request.cookies.get(cookie_name(name, secure=request.scope["state"]["secure"], path=path))
