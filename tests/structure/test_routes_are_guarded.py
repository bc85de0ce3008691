"""Every way into a service has a guard of ours, or stands on the list below with the reason why it needs none."""

from litestar.handlers import BaseRouteHandler

from shared.web import identity
from shared.web.prefixes import service_for
from tests.structure.conftest import Route

EVERYWHERE = {"GET /healthz", "GET /readyz", "GET /static/{name}"}

PUBLIC = {
    # The front door: what can be done and how, for anybody.
    "routing GET /",
    "routing GET /search",
    "routing GET /procedures/{code}",
    "routing GET /routing/api/procedures",
    # Which language the pages speak, for anybody.
    "routing GET /language",
    "booking GET /booking/language",
    "notifications GET /notifications/language",
    "routing GET /life-events/{code}",
    # Mint the guest's token if there is none.
    "routing POST /life-events/{code}",
    "routing POST /cases",
    # Opened by the guest who sent it, or by a cookie for this application alone: from the link, or number and code.
    "routing GET /a/{token}",
    "routing GET /applications/find",
    "routing POST /applications/find",
    "routing GET /applications/{number}",
    "routing POST /applications/{number}/withdraw",
    # Where tokens come from; nobody can have one before.
    "routing GET /session/renew",
    "routing POST /session/renew",
    "routing GET /sign-in",
    "routing POST /sign-in",
    "routing POST /sign-out",
    # Free times say nothing of anybody.
    "booking GET /booking",
    "booking GET /booking/api/slots",
    # Numbers only, for a screen in the hall.
    "booking GET /board",
    "booking GET /board/now",
    # Opened by number and code, or by the link; afterwards by a cookie for this appointment alone, which each checks.
    "booking GET /booking/find",
    "booking POST /booking/find",
    "booking GET /booking/a/{token}",
    # Forgets those cookies; who has none loses nothing.
    "booking GET /booking/forget",
    "booking GET /booking/appointments/{number}",
    "booking GET /booking/appointments/{number}/slip",
    "booking GET /booking/appointments/{number}/qr.svg",
    "booking GET /booking/appointments/{number}/calendar.ics",
    "booking GET /booking/appointments/{number}/change",
    "booking POST /booking/appointments/{number}/change",
    "booking GET /booking/appointments/{number}/cancel",
    "booking POST /booking/appointments/{number}/cancel",
    "booking GET /booking/api/appointments/{number}",
    # A calendar program has no session: the address is the secret, and tells times and venues only.
    "booking GET /helpers/calendar/{token}",
    # The SMS gateway, with a secret of its own.
    "notifications POST /notifications/api/receipts/{provider}",
    # Health, as the proxy reaches it.
    "booking GET /booking/healthz",
    "booking GET /booking/readyz",
    "notifications GET /notifications/healthz",
    "notifications GET /notifications/readyz",
}


def guard_names(handler: BaseRouteHandler) -> set[str]:
    """The guards of ours on a route: `require_visitor`, or one that `require_role` made."""
    guards = [getattr(guard, "func", guard) for guard in handler.resolve_guards()]
    return {guard.__name__ for guard in guards if guard.__module__ == identity.__name__}


def is_everywhere(route: Route) -> bool:
    return f"{route.method} {route.path}" in EVERYWHERE


def test_every_route_has_a_guard_or_says_that_it_is_public(routes: list[Route]) -> None:
    unclear = [
        route.name for route in routes if bool(guard_names(route.handler)) == (route.handler.opt.get("public") is True)
    ]
    assert unclear == [], "neither guarded nor public, or both"


def test_every_public_route_is_on_the_list_and_the_list_has_no_others(routes: list[Route]) -> None:
    public = {route.name for route in routes if not guard_names(route.handler) and not is_everywhere(route)}
    assert public == PUBLIC


def test_every_service_tells_its_health(routes: list[Route]) -> None:
    for service in ("routing", "booking", "notifications"):
        found = {f"{route.method} {route.path}" for route in routes if route.service == service}
        assert found >= EVERYWHERE


def test_staffs_pages_ask_for_a_role(routes: list[Route]) -> None:
    for route in routes:
        if route.name in PUBLIC:
            continue
        if route.path.startswith(("/counter", "/notices", "/office", "/helpers")):
            assert guard_names(route.handler) - {"require_visitor"}, route.name


def test_every_route_is_reached_under_its_services_prefix(routes: list[Route]) -> None:
    lost = [route.name for route in routes if not is_everywhere(route) and service_for(route.path) != route.service]
    assert lost == []


def test_json_lives_under_each_services_api(routes: list[Route]) -> None:
    for route in routes:
        if "/api" in route.path:
            assert route.path.startswith(f"/{route.service}/api/"), route.name
