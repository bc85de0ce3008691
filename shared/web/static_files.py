"""Static files with their hash in the name: built by `make assets`, cached for ever, sent compressed."""

from typing import Any

from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from shared.web.assets import BUILD_DIR, load_manifest
from shared.web.identity import PUBLIC

FOREVER = "public, max-age=31536000, immutable"
MEDIA_TYPES = {
    # Litestar adds the charset to text.
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
    "png": "image/png",
    "webmanifest": "application/manifest+json",
}


def static_router() -> HTTPRouteHandler:
    """Serves the files of the build's manifest, and nothing else, from memory."""
    names = set(load_manifest().values())
    plain = {name: (BUILD_DIR / name).read_bytes() for name in names}
    packed = {name: (BUILD_DIR / f"{name}.gz").read_bytes() for name in names if (BUILD_DIR / f"{name}.gz").exists()}

    @get("/static/{name:str}", opt=PUBLIC)
    async def static_file(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[bytes]:
        if name not in plain:
            raise NotFoundException
        media_type = MEDIA_TYPES.get(name.rsplit(".", 1)[-1], "application/octet-stream")
        headers = {"cache-control": FOREVER, "vary": "accept-encoding"}
        if "gzip" in request.headers.get("accept-encoding", "") and name in packed:
            return Response(packed[name], media_type=media_type, headers=headers | {"content-encoding": "gzip"})
        return Response(plain[name], media_type=media_type, headers=headers)

    return static_file
