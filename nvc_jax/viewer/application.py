"""The HTTP application of the viewer (extra ``view``).

It answers only requests whose header ``Host`` names this machine, so that no page of another origin reaches
it by a name that it points here (DNS rebinding). The files of the page are read when the application is made,
and served by their names: no path of a request reaches the file system.
"""

import importlib.resources
import threading
from collections.abc import Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nvc_jax.viewer.queries import QueryError, read_index, read_slice_query, read_volumes
from nvc_jax.viewer.slice_bytes import to_bytes
from nvc_jax.viewer.slice_cache import ByteCache
from nvc_jax.viewer.slices import find_contrast, read_slice, read_value
from nvc_jax.viewer.volumes import Stopped, ViewedVolume

HOSTS = ("127.0.0.1", "localhost")
"""Names of this machine that a request may have in its header ``Host``."""
_SLICE_BYTES = 1 << 27
"""Bytes of slices that are kept as they were sent."""
_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""Headers of every answer: nothing from elsewhere is loaded, and no other origin embeds or reads anything."""


def make_application(volumes: Sequence[ViewedVolume], stopping: threading.Event) -> Starlette:
    """Make the application that shows volumes, all of one shape.

    Args:
        volumes: one or more.
        stopping: when it is set, slices that are being read end with an error.
    """
    cache = ByteCache(_SLICE_BYTES)
    described = [volume.describe() for volume in volumes]

    def list_volumes(_: Request) -> Response:
        return JSONResponse(described)

    def contrast(request: Request) -> Response:
        (number, *_) = read_volumes(request.query_params, volumes)
        return JSONResponse(find_contrast(volumes[number], stopping))

    def slices(request: Request) -> Response:
        query = read_slice_query(request.query_params, volumes)
        content = cache.get_or_make(query, lambda: to_bytes(read_slice(volumes, query, stopping)))
        return Response(content, media_type="application/octet-stream")

    def value(request: Request) -> Response:
        chosen = read_volumes(request.query_params, volumes)
        index = read_index(request.query_params, volumes[chosen[0]].shape)
        text, is_valid = read_value(volumes, chosen, index, stopping)
        return JSONResponse({"value": text, "valid": is_valid})

    answers = {"volumes": list_volumes, "contrast": contrast, "slice": slices, "value": value}
    routes = [Route(f"/api/{name}", _answering(answer)) for name, answer in answers.items()]
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=list(HOSTS), www_redirect=False)
    return Starlette(routes=[*routes, *_page_routes()], middleware=[hosts])


def _page_routes() -> list[Route]:
    """Make a route for each file of the page."""
    routes = []
    for file in sorted(importlib.resources.files("nvc_jax.viewer").joinpath("page").iterdir(), key=str):
        suffix = file.name[file.name.rfind(".") :]
        if suffix in _MEDIA_TYPES:
            path = "/" if file.name == "index.html" else f"/{file.name}"
            routes.append(Route(path, _serving(file.read_bytes(), _MEDIA_TYPES[suffix])))
    return routes


def _serving(content: bytes, media_type: str) -> Callable[[Request], Response]:
    return lambda _: Response(content, media_type=media_type, headers=_HEADERS)


def _answering(answer: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """Turn errors into answers that the page shows; they run in threads, several at a time."""

    def call(request: Request) -> Response:
        try:
            response = answer(request)
        except QueryError as error:
            response = _error(400, error)
        except Stopped as error:
            response = _error(503, error)
        except (ValueError, OSError, RuntimeError, MemoryError) as error:
            response = _error(500, error)
        response.headers.update(_HEADERS)
        return response

    return call


def _error(status: int, error: Exception) -> Response:
    content: dict[str, Any] = {"error": str(error) or type(error).__name__}
    return JSONResponse(content, status)
