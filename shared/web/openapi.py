"""The description of a service's JSON (OpenAPI 3.1), made from the routes themselves: nothing is written twice.

Types, units and limits come from the handlers' signatures and structs, by msgspec's own JSON Schema, which is what
their bodies are decoded by; words from docstrings; what is refused from the routes' `opt` and the refusals' texts.
`docs/decisions/0030-the-api-describes-itself.md` says why not Litestar's generator.
"""

import inspect
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from http import HTTPStatus
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from litestar import Litestar, Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import ParameterKwarg
from litestar.routes import HTTPRoute
from litestar.types import ControllerRouterHandler
from litestar.typing import FieldDefinition

from shared.events.subscriptions import SERVICES
from shared.web.cookies import cookie_name
from shared.web.documented import KEY_HEADER, Documented, documented_of
from shared.web.i18n import translate, use_language
from shared.web.identity import PUBLIC, SESSION_COOKIE
from shared.web.refusals import RefusalText

VERSION = "1"
COMPONENTS = "#/components/schemas/"
PROBLEM = "application/problem+json"
# The guard of what other systems of the town ask for (`services/notifications/api/systems.py`).
OF_SYSTEMS = "require_system"
_IN_PATH = re.compile(r"\{(\w+)\}")
_LIMITS = ("gt", "ge", "lt", "le", "min_length", "max_length", "pattern")
_ABOUT = """\
The same commands, rules and limits as the pages. Times are ISO 8601 with an offset, days are Japan's, minutes are
whole numbers. Whatever is refused is `application/problem+json` (RFC 9457): `code` is for programs, `title` and
`detail` are for people, in the language of the `language` cookie. Fields may be added to answers; a body with a field
that is not known is refused.
"""
_PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "Why not, and what can be done (RFC 9457).",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string", "description": "`/problems/` and the code."},
        "title": {"type": "string", "description": "What happened, for people."},
        "status": {"type": "integer", "description": "The HTTP status."},
        "detail": {"type": "string", "description": "What to do next, for people."},
        "code": {"type": "string", "description": "Which refusal it is, for programs."},
        "fields": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Which parameters, or fields of the body, could not be read.",
        },
        "problems": {
            "type": "array",
            "items": {"type": "object"},
            "description": "Everything that is wrong: where (`pointer`, a JSON pointer), a `code`, and in words.",
        },
        "limit": {"type": "string", "description": "Which limit has no room."},
        "retry_after_s": {"type": "integer", "description": "After how many seconds it has room again."},
        "alternatives": {
            "type": "array",
            "items": {"type": "object"},
            "description": "Of a place that is gone: the nearest free ones.",
        },
    },
}

Document = dict[str, Any]


def schema_routes(service: str, texts: Mapping[str, RefusalText], *, secure: bool) -> list[ControllerRouterHandler]:
    """Where a service describes its JSON; routing, which answers for the whole site, lists all of them."""
    made: dict[str, Document] = {}
    base = f"/{service}/schema"

    @get([base, f"{base}/openapi.json"], opt=PUBLIC)
    async def get_schema(request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
        """The description of this service's JSON."""
        if service not in made:
            made[service] = make_document(request.app, service, texts, secure=secure)
        return Response(made[service])

    @get(["/schema", "/schema/openapi.json"], opt=PUBLIC)
    async def get_schemas() -> Response[dict[str, Any]]:
        """Where each service's description is."""
        return Response({"services": {name: f"/{name}/schema/openapi.json" for name in SERVICES}})

    return [get_schema, get_schemas] if service == "routing" else [get_schema]


def make_document(app: Litestar, service: str, texts: Mapping[str, RefusalText], *, secure: bool) -> Document:
    """The description of all routes below `/<service>/api/`."""
    schemas = _Schemas()
    paths: dict[str, Document] = {}
    with use_language("en"):
        for route in sorted(app.routes, key=lambda route: route.path_format):
            if isinstance(route, HTTPRoute) and route.path_format.startswith(f"/{service}/api/"):
                paths[route.path_format] = {
                    method.lower(): _operation(handler, route.path_format, texts, schemas)
                    for method, handler in _handlers(route)
                }
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Choudo: {service}", "version": VERSION, "description": _ABOUT},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": {"Problem": _PROBLEM_SCHEMA} | schemas.finish(),
            "securitySchemes": _security_schemes(secure=secure),
        },
    }


def _handlers(route: HTTPRoute) -> Iterator[tuple[str, HTTPRouteHandler]]:
    for handler in route.route_handlers:
        for method in sorted(handler.http_methods - {"OPTIONS", "HEAD"}):
            yield str(method), handler


def _security_schemes(*, secure: bool) -> Document:
    token = cookie_name(SESSION_COOKIE, secure=secure)
    return {
        "visitor": {
            "type": "apiKey",
            "in": "cookie",
            "name": token,
            "description": "The token that every visitor gets with their first case; it owns their visits and holds.",
        },
        "staff": {
            "type": "apiKey",
            "in": "cookie",
            "name": token,
            "description": "The token of somebody who has signed in, with a role that the route names.",
        },
        "system": {
            "type": "http",
            "scheme": "bearer",
            "description": "The key of another system of the town, which its managers make.",
        },
    }


def _operation(handler: HTTPRouteHandler, path: str, texts: Mapping[str, RefusalText], schemas: "_Schemas") -> Document:
    said = documented_of(handler.opt)
    guard = next((found.__name__ for found in handler.resolve_guards() if hasattr(found, "__name__")), None)
    parameters = [
        _parameter(field, path, schemas)
        for field in handler.parsed_fn_signature.parameters.values()
        if isinstance(field.kwarg_definition, ParameterKwarg) and not field.is_di_field
    ]
    # What a dependency reads of the path is asked of the client all the same.
    named = {parameter["name"] for parameter in parameters}
    parameters = [_of_path(name) for name in _IN_PATH.findall(path) if name not in named] + parameters
    data = handler.parsed_fn_signature.parameters.get("data")
    body = said.body if data is None else data.annotation
    words = inspect.getdoc(handler.fn) or ""
    operation: Document = {
        "operationId": handler.handler_name,
        "tags": list(handler.resolve_tags()) or ["other"],
        "summary": handler.summary or words.split("\n", 1)[0].rstrip("."),
        "description": _description(words, guard),
        "security": _security(guard, said),
        "parameters": parameters,
    }
    if body is not None:
        content: Document = {"schema": schemas.add(body)}
        if said.example is not None:
            content["example"] = said.example
        operation["requestBody"] = {"required": True, "content": {"application/json": content}}
    operation["responses"] = _success(handler, said, schemas) | _refused(
        _all_refusals(said, guard, parameters, has_body=body is not None, writes=handler.http_methods != {"GET"}),
        said.details,
        texts,
    )
    return operation


def _description(words: str, guard: str | None) -> str:
    # What a command raises stands in the responses.
    told = words.split("\nRaises:", 1)[0].strip()
    if guard == OF_SYSTEMS:
        return told
    roles = (guard or "").removeprefix("require_")
    return (
        told if roles in ("", "visitor") else f"{told}\n\nFor staff with the role `{roles.replace('_or_', '` or `')}`."
    )


def _security(guard: str | None, said: Documented) -> list[Document]:
    if guard is None:
        return [{}, {"visitor": []}] if said.knows_owner else []
    if guard == OF_SYSTEMS:
        return [{"system": []}]
    return [{"visitor" if guard == "require_visitor" else "staff": []}]


def _parameter(field: FieldDefinition, path: str, schemas: "_Schemas") -> Document:
    given = field.kwarg_definition
    assert isinstance(given, ParameterKwarg)
    name = given.name or field.name
    limits = {limit: getattr(given, limit) for limit in _LIMITS if getattr(given, limit) is not None}
    kind = _without_none(field.annotation)
    is_in_path = f"{{{name}}}" in path
    parameter: Document = {
        "name": name,
        "in": str(given.param_type.value),
        "required": is_in_path or field.is_required,
        "schema": schemas.add(Annotated[kind, msgspec.Meta(**limits)] if limits else kind),
    }
    if given.description:
        parameter["description"] = given.description
    if is_in_path:
        parameter["schema"] = _of_path(name)["schema"]
    elif field.has_default and field.default not in (None, ""):
        parameter["schema"] = schemas.add(
            Annotated[kind, msgspec.Meta(**limits, extra_json_schema={"default": msgspec.to_builtins(field.default)})]
        )
    return parameter


def _of_path(name: str) -> Document:
    schema = {"type": "string", "format": "uuid"} if name.endswith("_id") else {"type": "string"}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _success(handler: HTTPRouteHandler, said: Documented, schemas: "_Schemas") -> Document:
    kind = handler.parsed_fn_signature.return_type.annotation
    if get_origin(kind) is Response:
        [kind] = get_args(kind)
    status = handler.status_code
    answer: Document = {"description": HTTPStatus(status).phrase}
    if kind is bytes:
        answer["content"] = {said.answer: {}}
    elif kind not in (None, NoneType):
        content: Document = {"schema": schemas.add(kind)}
        if said.returns is not None:
            content["example"] = msgspec.json.decode(msgspec.json.encode(said.returns))
        answer["content"] = {said.answer: content}
    if said.headers:
        answer["headers"] = {
            name: {"description": meaning, "schema": {"type": "string"}} for name, meaning in said.headers.items()
        }
    return {str(status): answer}


def _all_refusals(
    said: Documented, guard: str | None, parameters: list[Document], *, has_body: bool, writes: bool
) -> Mapping[str, int]:
    """What the route says, and what every route of its kind may answer."""
    found = {"unavailable": 503, "not_found": 404} | dict(said.refusals)
    if parameters or has_body:
        found["bad_request"] = 400
    if has_body:
        found |= {"too_large": 413}
    if writes:
        found |= {"cross_site": 403}
    if guard == OF_SYSTEMS:
        found |= {"system_key": 401, "too_many_tries": 429}
    elif guard is not None:
        # A visitor's ways are not a machine's in the lobby.
        found |= {"session_needed": 401, "role_missing": 403}
    if any(each["name"] == KEY_HEADER for each in parameters):
        found |= {"key_reused": 422, "key_unreadable": 400}
    return found


def _refused(
    refusals: Mapping[str, int], details: Mapping[str, Mapping[str, Any]], texts: Mapping[str, RefusalText]
) -> Document:
    """The responses that are no success: by status, with its codes, and each code with its words."""
    responses: Document = {}
    for status in sorted(set(refusals.values())):
        codes = sorted(code for code, given in refusals.items() if given == status)
        schema = {
            "allOf": [{"$ref": f"{COMPONENTS}Problem"}],
            "properties": {"code": {"enum": codes}, "status": {"const": status}},
        }
        responses[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "content": {
                PROBLEM: {
                    "schema": schema,
                    "examples": {code: _example(code, status, details.get(code, {}), texts) for code in codes},
                }
            },
        }
    return responses


def _example(code: str, status: int, details: Mapping[str, Any], texts: Mapping[str, RefusalText]) -> Document:
    text = texts[code]
    title, advice = translate(text.title), translate(text.advice)
    problem = {"type": f"/problems/{code}", "title": title, "detail": advice, "status": status, "code": code}
    return {"summary": title, "value": problem | msgspec.to_builtins(details)}


class _Schemas:
    """The schemas of all types, made together at the end: names are given once all types are known."""

    def __init__(self) -> None:
        self._wanted: list[tuple[Any, Document]] = []

    def add(self, kind: Any) -> Document:
        """The place where the schema of a type will be."""
        place: Document = {}
        self._wanted.append((kind, place))
        return place

    def finish(self) -> Document:
        """Fill the places, and return the schemas that they refer to."""
        kinds = [kind for kind, _ in self._wanted]
        made, components = msgspec.json.schema_components(kinds, ref_template=COMPONENTS + "{name}")
        for (_, place), schema in zip(self._wanted, made, strict=True):
            place.update(schema)
        structs = {found.__name__: found for kind in kinds for found in _structs(kind)}
        for name, component in components.items():
            if name in structs:
                _name_moments(structs[name], component)
        found: Document = components
        return found


def _without_none(kind: Any) -> Any:
    """A parameter that may be left out has no value that says so."""
    if get_origin(kind) not in (Union, UnionType):
        return kind
    # At run time a union of types; the checker knows no such thing.
    return Union[tuple(each for each in get_args(kind) if each is not NoneType)]  # noqa: UP007


def _structs(kind: Any, known: set[Any] | None = None) -> Iterator[Any]:
    """A struct, and those in it."""
    seen = set() if known is None else known
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind not in seen:
        seen.add(kind)
        yield kind
        for field in msgspec.structs.fields(kind):
            yield from _structs(field.type, seen)
    for inner in get_args(kind):
        yield from _structs(inner, seen)


def _name_moments(struct: Any, component: Document) -> None:
    """msgspec tells the format of a time only where an offset is demanded; ours all have one."""
    for field in msgspec.structs.fields(struct):
        kind = _without_none(field.type)
        if kind is datetime:
            schema = component["properties"][field.encode_name]
            for each in schema.get("anyOf", [schema]):
                if each.get("type") == "string":
                    each["format"] = "date-time"
