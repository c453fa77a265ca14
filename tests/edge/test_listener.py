"""Real handshakes and real requests: TLS 1.3 and nothing older, HTTP/1.1 and 2, headers on every answer."""

from __future__ import annotations

import socket
import ssl
import stat
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509

from subscription_services.edge.certificate import local_certificate
from subscription_services.edge.listener import Listening, options, require_free
from subscription_services.kernel.errors import StartError
from tests.edge.listening import Running, running

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("edge")) as started:
        yield started


def trusting(live: Running) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(live.certificate))


def handshake(live: Running, context: ssl.SSLContext) -> tuple[str | None, str | None, str]:
    with (
        socket.create_connection(("127.0.0.1", live.https), 5) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        cipher = secure.cipher()
        return secure.version(), secure.selected_alpn_protocol(), cipher[0] if cipher else ""


def client(live: Running) -> httpx.Client:
    return httpx.Client(base_url=f"https://localhost:{live.https}", verify=trusting(live))


def test_tls_1_3_is_spoken_with_both_http_versions(live: Running) -> None:
    context = trusting(live)
    context.set_alpn_protocols(["h2", "http/1.1"])
    version, protocol, cipher = handshake(live, context)
    assert (version, protocol) == ("TLSv1.3", "h2")
    assert "GCM" in cipher or "CHACHA20" in cipher
    context.set_alpn_protocols(["http/1.1"])
    assert handshake(live, context)[1] == "http/1.1"


def test_tls_1_2_is_refused(live: Running) -> None:
    context = trusting(live)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        handshake(live, context)


@pytest.mark.parametrize("flag", ["-tls1", "-tls1_1", "-tls1_2"])
def test_openssl_cannot_speak_anything_older(live: Running, flag: str) -> None:
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{live.https}", flag, "-cipher", "ALL:@SECLEVEL=0"]
    done = subprocess.run(command, input=b"", capture_output=True, timeout=20, check=False)
    assert done.returncode != 0
    assert b"Cipher is (NONE)" in done.stdout or b"alert" in done.stderr


def test_a_stranger_does_not_trust_the_local_certificate(live: Running) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(live, ssl.create_default_context())


@pytest.mark.parametrize(
    "path, status", [("/problems", 200), ("/nowhere", 404), ("/api/nowhere", 404), ("/crash", 500)]
)
def test_every_answer_carries_hsts_and_policy(live: Running, path: str, status: int) -> None:
    with client(live) as http:
        answer = http.get(path)
    assert answer.status_code == status
    assert answer.headers["strict-transport-security"] == "max-age=63072000; includeSubDomains"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "granian" not in str(answer.headers).lower()


def test_ten_megabytes_are_refused_whether_declared_or_chunked(live: Running) -> None:
    big = b"x" * 10_000_000
    with client(live) as http:
        try:
            declared = http.post("/api/shop.order", content=big, headers={"content-type": "application/json"})
            assert (declared.status_code, declared.json()["status"]) == (413, 413)
        except (httpx.WriteError, httpx.ReadError):
            pytest.fail("the refusal did not reach the client")

    def parts() -> Iterator[bytes]:
        for _ in range(160):
            yield big[:65_536]

    with client(live) as http:
        chunked = http.post("/api/shop.order", content=parts(), headers={"content-type": "application/json"})
        assert chunked.status_code == 413
        # and the server goes on
        assert http.get("/problems").status_code == 200


def test_a_form_goes_through_the_whole_edge(live: Running) -> None:
    with client(live) as http:
        page = http.get("/order")
        visit = page.cookies.get("__Host-visit") or ""
        assert visit
        token = page.text.partition('name="csrf_token" value="')[2].partition('"')[0]
        data = {"email": "ada@example.org", "count": "1", "csrf_token": token}
        own = {"origin": f"https://localhost:{live.https}"}
        assert http.post("/order", data=data, headers=own).status_code == 303
        assert http.post("/order", data=data, headers={"origin": "https://evil.example"}).status_code == 403
        assert http.post("/order", data={**data, "csrf_token": "x"}, headers=own).status_code == 403


def test_a_wrong_host_is_refused(live: Running) -> None:
    with client(live) as http:
        assert http.get("/problems", headers={"host": "evil.example"}).status_code == 421


def test_plain_http_only_points_to_https(live: Running) -> None:
    base = f"http://127.0.0.1:{live.http}"
    page = httpx.get(f"{base}/security?x=1", headers={"host": "evil.example"})
    assert (page.status_code, page.headers["location"]) == (308, f"https://localhost:{live.https}/security?x=1")
    api = httpx.post(f"{base}/api/shop.order", json={})
    assert (api.status_code, "location" in api.headers) == (403, False)


def test_a_header_that_never_ends_is_cut_off(live: Running) -> None:
    with socket.create_connection(("127.0.0.1", live.http), 5) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: " + b"y" * 200_000)
        connection.settimeout(15)
        started = time.monotonic()
        try:
            answer = connection.recv(100)
        except ConnectionResetError:
            answer = b""
        assert answer == b"" or answer.split()[1] in (b"400", b"431")
        assert time.monotonic() - started < 14


def test_client_certificates_can_be_demanded(tmp_path: Path) -> None:
    theirs = local_certificate(tmp_path / "client", NOW, ("client.example",))
    with running(tmp_path / "server", theirs.certificate) as started:
        context = trusting(started)
        with pytest.raises(httpx.HTTPError), httpx.Client(verify=context) as http:
            http.get(f"https://localhost:{started.https}/problems")
        with pytest.raises(ValueError, match="HTTPS"):
            options(Listening("127.0.0.1", 1, client_ca=theirs.certificate))


def test_the_local_certificate_is_made_once_and_kept_private(tmp_path: Path) -> None:
    files = local_certificate(tmp_path, NOW)
    assert stat.S_IMODE(files.key.stat().st_mode) == 0o600
    first = files.certificate.read_bytes()
    certificate = x509.load_pem_x509_certificate(first)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == ["localhost", "127.0.0.1", "::1"]
    assert local_certificate(tmp_path, NOW).certificate.read_bytes() == first
    assert local_certificate(tmp_path, NOW + timedelta(days=380)).certificate.read_bytes() != first


def test_a_certificate_whose_key_is_readable_or_broken_is_made_anew(tmp_path: Path) -> None:
    files = local_certificate(tmp_path, NOW)
    first = files.key.read_bytes()
    files.key.chmod(0o644)
    second = local_certificate(tmp_path, NOW).key.read_bytes()
    assert second != first
    files.key.write_bytes(b"broken")
    files.key.chmod(0o600)
    assert local_certificate(tmp_path, NOW).key.read_bytes() != second
    assert stat.S_IMODE(files.key.stat().st_mode) == 0o600


def test_a_port_in_use_is_said_clearly(live: Running) -> None:
    with pytest.raises(StartError, match=r"in use.*SUBS_HTTPS_PORT"):
        require_free("127.0.0.1", live.https, "SUBS_HTTPS_PORT")
