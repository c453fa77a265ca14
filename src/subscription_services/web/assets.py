"""Static files under a name that holds their content's hash, so that they may be cached for ever."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

STATIC = Path(__file__).parent / "static"
PREFIX = "/static"
FOR_EVER = "public, max-age=31536000, immutable"

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/vnd.microsoft.icon",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file in memory: its bytes, media type and content hash (16 hex digits of SHA-256)."""

    name: str
    body: bytes
    media_type: str
    digest: str

    @property
    def url(self) -> str:
        """Its address, which changes with its content."""
        return f"{PREFIX}/{self.digest}/{self.name}"


class Assets:
    """The static files of the service, read once at start. An unknown file type refuses to start."""

    def __init__(self, *folders: Path) -> None:
        self._by_name: dict[str, Asset] = {}
        for folder in folders or (STATIC,):
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    self._add(path.relative_to(folder).as_posix(), path)

    def _add(self, name: str, path: Path) -> None:
        if path.suffix not in TYPES:
            raise ValueError(f"static file {name} has a type we do not serve")
        if name in self._by_name:
            raise ValueError(f"static file {name} exists twice")
        body = path.read_bytes()
        digest = hashlib.sha256(body).hexdigest()[:16]
        self._by_name[name] = Asset(name, body, TYPES[path.suffix], digest)

    def url(self, name: str) -> str:
        """The address of a file. Raises KeyError for one that does not exist."""
        return self._by_name[name].url

    def answer(self, request: Request) -> Response | None:
        """The file that the request's path names, 304 when the client has it, None when there is none."""
        asset = self._by_name.get(request.path_params["name"])
        if asset is None:
            return None
        current = request.path_params["digest"] == asset.digest
        headers = {
            "ETag": f'"{asset.digest}"',
            # an older page may ask for an older hash: it gets today's file, but must ask again
            "Cache-Control": FOR_EVER if current else "no-cache",
            "Cross-Origin-Resource-Policy": "same-origin",
        }
        known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
        if headers["ETag"] in known or "*" in known:
            return Response(status_code=304, headers=headers)
        return Response(asset.body, headers=headers, media_type=asset.media_type)
