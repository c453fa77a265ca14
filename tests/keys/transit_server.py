"""A server of ours that answers as the Transit engine does, because no real Vault or OpenBao can be had here.

Debian has no package of either and none was found on PyPI or npm, so this is NOT a test against the real thing. It was
written after the documented HTTP API (developer.hashicorp.com/vault/api-docs/secret/transit, openbao.org/api-docs)
and after what OpenBao's own source answers: 400 with "invalid ciphertext: unable to decrypt", "encryption key not
found" and "ciphertext or signature version is disallowed by policy (too old)", 403 "permission denied", 404 with no
errors, 503 "Vault is sealed"; associated data is refused for kinds of keys that cannot authenticate it. Policies,
namespaces and leases are not there; what a real server answers beyond this is unknown to these tests.
"""

from __future__ import annotations

import json
import os
import ssl
import threading
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TOKEN = "hvs.for-tests"


class Refused(Exception):
    def __init__(self, status: int, *errors: str) -> None:
        self.status, self.errors = status, list(errors)
        super().__init__(status)


@dataclass
class TransitKey:
    kind: str = "aes256-gcm96"
    exportable: bool = False
    allow_plaintext_backup: bool = False
    derived: bool = False
    min_decryption_version: int = 1
    versions: list[bytes] = field(default_factory=lambda: [os.urandom(32)])


@dataclass
class TransitServer:
    """One cluster with one engine at `transit`; set `sealed`, `busy` (503s left) or `denied` to see those answers."""

    keys: dict[str, TransitKey] = field(default_factory=dict)
    token: str = TOKEN
    cluster: str = field(default_factory=lambda: os.urandom(8).hex())
    sealed: bool = False
    busy: int = 0
    requests: list[str] = field(default_factory=list)
    _server: ThreadingHTTPServer | None = None

    def start(self, tls: ssl.SSLContext | None = None) -> TransitServer:
        transit = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer({})

            def do_POST(self) -> None:
                self._answer(json.loads(self.rfile.read(int(self.headers.get("content-length", "0"))) or b"{}"))

            def _answer(self, body: dict[str, Any]) -> None:
                try:
                    status, content = (
                        200,
                        transit.answer(
                            self.command, urlsplit(self.path).path, self.headers.get("X-Vault-Token", ""), body
                        ),
                    )
                except Refused as refused:
                    status, content = refused.status, {"errors": refused.errors}
                raw = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    @property
    def origin(self) -> str:
        assert self._server is not None
        scheme = "https" if isinstance(self._server.socket, ssl.SSLSocket) else "http"
        return f"{scheme}://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, path: str, token: str, body: dict[str, Any]) -> dict[str, Any]:
        self.requests.append(f"{method} {path}")
        if path == "/v1/sys/health":
            if self.sealed:
                raise Refused(503, "Vault is sealed")
            return {"initialized": True, "sealed": False, "standby": False, "cluster_id": self.cluster}
        if self.busy:
            self.busy -= 1
            raise Refused(503, "try again")
        if self.sealed:
            raise Refused(503, "Vault is sealed")
        if token != self.token:
            raise Refused(403, "permission denied")
        _, _, mount, verb, name = path.split("/")
        if mount != "transit":
            raise Refused(404, f'no handler for route "{mount}/{verb}/{name}". route entry not found.')
        return getattr(self, f"_{method.lower()}_{verb}")(name, body)  # type: ignore[no-any-return]

    def _get_keys(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        key = self.keys.get(name)
        if key is None:
            raise Refused(404)
        return {
            "data": {
                "name": name, "type": key.kind, "exportable": key.exportable, "derived": key.derived,
                "allow_plaintext_backup": key.allow_plaintext_backup, "latest_version": len(key.versions),
                "min_decryption_version": key.min_decryption_version, "supports_encryption": True,
            }
        }  # fmt: skip

    def _post_keys(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        self.keys.setdefault(
            name,
            TransitKey(
                body.get("type", "aes256-gcm96"), body.get("exportable", False),
                body.get("allow_plaintext_backup", False), body.get("derived", False),
            ),
        )  # fmt: skip
        return self._get_keys(name, {})

    def _post_encrypt(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        key, aad = self._for_use(name, body)
        nonce = os.urandom(12)
        sealed = AESGCM(key.versions[-1]).encrypt(nonce, b64decode(body["plaintext"], validate=True), aad)
        return {"data": {"ciphertext": f"vault:v{len(key.versions)}:{b64encode(nonce + sealed).decode()}"}}

    def _post_decrypt(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        if not body.get("ciphertext"):
            raise Refused(400, "missing ciphertext to decrypt")
        key, aad = self._for_use(name, body)
        prefix, _, rest = body["ciphertext"].partition(":")
        version, _, text = rest.partition(":")
        if prefix != "vault" or not version.startswith("v"):
            raise Refused(400, "invalid ciphertext: no prefix")
        try:
            # v0 is v1 to a real one: the keys of its first release began at zero.
            number, raw = int(version[1:]) or 1, b64decode(text, validate=True)
        except ValueError:
            raise Refused(400, "invalid ciphertext: could not be decoded") from None
        if number < key.min_decryption_version:
            raise Refused(400, "ciphertext or signature version is disallowed by policy (too old)")
        if number > len(key.versions):
            raise Refused(400, "invalid ciphertext: version is too new")
        try:
            plain = AESGCM(key.versions[number - 1]).decrypt(raw[:12], raw[12:], aad)
        except (InvalidTag, ValueError):
            raise Refused(400, "invalid ciphertext: unable to decrypt") from None
        return {"data": {"plaintext": b64encode(plain).decode()}}

    def _for_use(self, name: str, body: dict[str, Any]) -> tuple[TransitKey, bytes]:
        key = self.keys.get(name)
        if key is None:
            raise Refused(400, "encryption key not found")
        if key.kind not in ("aes256-gcm96", "chacha20-poly1305") and body.get("associated_data"):
            raise Refused(400, f"'[0].associated_data' provided for non-AEAD cipher suite {key.kind}")
        return key, b64decode(body.get("associated_data", ""), validate=True)
