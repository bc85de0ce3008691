"""Choosing the language of the pages: a link on every page, answered by the service that the page belongs to."""

from typing import Annotated, Any
from urllib.parse import urlencode

from litestar import get
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler

from shared.local_path import is_local_path
from shared.web.i18n import LANGUAGE_COOKIE, LANGUAGES, current_language, find_language
from shared.web.identity import PUBLIC
from shared.web.prefixes import service_for

YEAR_S = 365 * 24 * 60 * 60


def language_path(service: str) -> str:
    """Where a service hears which language its visitor wants: with another one stopped, it still does."""
    return "/language" if service == "routing" else f"/{service}/language"


def language_route(service: str) -> ControllerRouterHandler:
    """The route that remembers the choice and leads back."""

    @get(language_path(service), opt=PUBLIC)
    async def get_language(
        secure: NamedDependency[bool],
        to: FromQuery[str] = "",
        next_path: Annotated[str, QueryParameter(name="next")] = "/",
    ) -> Redirect:
        """Keep the language in a cookie. An unknown one is Japanese; a way to another site leads to the front page."""
        chosen = Cookie(
            key=LANGUAGE_COOKIE, value=find_language(to).code, path="/", max_age=YEAR_S, secure=secure, samesite="lax"
        )
        return Redirect(next_path if is_local_path(next_path) else "/", status_code=303, cookies=[chosen])

    return get_language


def language_links(path: str) -> list[dict[str, Any]]:
    """The languages as a page offers them. `path` is the page's own: what stands behind `?` does not travel."""
    route = language_path(service_for(path))
    return [
        {
            "href": f"{route}?{urlencode({'to': language.code, 'next': path})}",
            "name": language.name,
            "html_lang": language.html_lang,
            "current": language is current_language(),
        }
        for language in LANGUAGES.values()
    ]
