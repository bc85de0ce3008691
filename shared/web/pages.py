"""Answers that are pages."""

from typing import Any

from litestar import MediaType, Request
from litestar.response import Redirect, Template


def page(request: Request[Any, Any, Any], name: str, *, status: int = 200, **context: Any) -> Template:
    """A page: the template's own values, and what every page has (`town`, `now`, `signed_in`, `path`)."""
    state = request.scope["state"]
    token = state.get("token")
    common = {
        "town": state.get("town"),
        "now": state["now"],
        "signed_in": token.identity if token else None,
        "path": request.url.path,
        "request_id": state["request_id"],
    }
    return Template(template_name=name, context=common | context, status_code=status, media_type=MediaType.HTML)


def see_other(path: str) -> Redirect:
    """After a form: the browser GETs another page, so that reloading does not post again."""
    return Redirect(path, status_code=303)
