"""Who does not get in, and what is not read: real sockets against the key service's listener."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from struct import pack

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from subscription_services.kernel.clock import system_clock
from subscription_services.kernel.errors import StartError
from subscription_services.keys import KeyPolicyRefused, KeySettings, KeyUnavailable, Kind, service_listener
from subscription_services.keys.allow import AllowedClient, read_allow_list, write_allow_list
from subscription_services.keys.certificates import Authority, Identity
from subscription_services.keys.mutual_tls import client_context, identity_files
from subscription_services.keys.wire import ANSWER_LIMIT, METHODS, REQUEST_LIMIT, Frames, read_answer, write_request

from .listening import DOMAIN, Listening, everything, listening

GENERATION = METHODS["generation"]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Listening]:
    with listening(tmp_path) as found:
        yield found


def ask(connection: ssl.SSLSocket) -> int:
    """One good request on a bare connection."""
    connection.sendall(write_request(7, "generation", GENERATION.bind((), {})))
    frames = Frames(ANSWER_LIMIT)
    while (content := frames.next()) is None:
        arrived = connection.recv(65_536)
        if not arrived:
            raise ConnectionResetError("ended")
        frames.feed(arrived)
    found = read_answer(content, 7, GENERATION)
    assert isinstance(found, int)
    return found


def ends(connection: socket.socket, seconds: float = 5) -> bool:
    """Whether the other end closes the connection, having said nothing but an alert of TLS."""
    connection.settimeout(seconds)
    try:
        said = b""
        while arrived := connection.recv(100):
            said += arrived
        return said[:1] in (b"", b"\x15")
    except TimeoutError:
        return False
    except OSError:
        return True


def own_certificate(
    folder: Path, authority: Authority, uris: list[str], until: datetime, usage: x509.ObjectIdentifier
) -> Identity:
    """A certificate of the authority as `issue` would never make it."""
    issuer = x509.load_pem_x509_certificate(authority.certificate.read_bytes())
    issuer_key = serialization.load_pem_private_key((authority.directory / "authority.key").read_bytes(), None)
    assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "web")]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(system_clock() - timedelta(days=3))
        .not_valid_after(until)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if uris:
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris])
        builder = builder.add_extension(names, critical=False)
    files = Identity(folder / "own.crt", folder / "own.key", authority.certificate)
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    files.key.touch(0o600)
    files.key.write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()))
    files.certificate.write_bytes(builder.sign(issuer_key, hashes.SHA256()).public_bytes(pem))
    return files


def refused(house: Listening, files: Identity) -> bool:
    """TLS 1.3 lets a client finish its handshake before the service has looked at the certificate."""
    try:
        with house.raw(files) as connection:
            ask(connection)
    except OSError:
        return True
    return False


def test_a_good_client_is_answered(house: Listening) -> None:
    with house.raw() as connection:
        assert connection.version() == "TLSv1.3"
        assert ask(connection) == 0
        assert ask(connection) == 0


def test_no_certificate_no_answer(house: Listening) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(house.authority.certificate)
    with pytest.raises(OSError), house.raw(context=context) as connection:
        ask(connection)
    wanted = (service_listener.UNVERIFIED, "call", "connection", "PEER_DID_NOT_RETURN_A_CERTIFICATE", "refused")
    end = time.monotonic() + 10
    while wanted not in house.journal():
        assert time.monotonic() < end


def test_the_certificate_of_another_authority_is_refused(house: Listening, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other", DOMAIN)
    other.prepare(system_clock())
    files = other.issue("web", system_clock())
    assert refused(house, Identity(files.certificate, files.key, house.authority.certificate))


@pytest.mark.parametrize(
    ("until", "usage"),
    [(-1, ExtendedKeyUsageOID.CLIENT_AUTH), (1, ExtendedKeyUsageOID.SERVER_AUTH)],
    ids=["expired", "a server's"],
)
def test_a_certificate_that_is_not_a_valid_clients_is_refused(
    house: Listening, tmp_path: Path, until: int, usage: x509.ObjectIdentifier
) -> None:
    web = house.authority.identity("web")
    end = system_clock() + timedelta(days=until)
    assert refused(house, own_certificate(tmp_path, house.authority, [web], end, usage))


@pytest.mark.parametrize("uris", [[], ["spiffe://subs.internal/web", "spiffe://subs.internal/worker"]])
def test_a_certificate_without_one_identity_may_do_nothing(house: Listening, tmp_path: Path, uris: list[str]) -> None:
    end = system_clock() + timedelta(days=1)
    files = own_certificate(tmp_path, house.authority, uris, end, ExtendedKeyUsageOID.CLIENT_AUTH)
    with house.raw(files) as connection:
        with pytest.raises(KeyPolicyRefused):
            ask(connection)
        assert ends(connection)
    assert (service_listener.UNNAMED, "call", "generation", "", "refused") in house.journal()


def test_an_open_connection_ends_with_its_certificate(tmp_path: Path) -> None:
    times = [system_clock()]
    with listening(tmp_path, clock=lambda: times[0]) as house, house.raw() as connection:
        assert ask(connection) == 0
        times[0] += timedelta(days=91)
        with pytest.raises(OSError):
            ask(connection)


def test_older_tls_is_refused(house: Listening) -> None:
    context = client_context(house.authority.issue("web", system_clock()))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        house.raw(context=context)


def test_a_service_that_is_not_the_key_service_is_not_believed(house: Listening, tmp_path: Path) -> None:
    """Another member of the house listens in its place: its certificate is good, but not the key service's."""
    web = house.authority.issue("imposter", system_clock(), server=True)
    (house.authority.directory / "keys.crt").write_bytes(web.certificate.read_bytes())
    (house.authority.directory / "keys.key").write_bytes(web.key.read_bytes())
    house.stop()
    house.start()
    with pytest.raises(KeyUnavailable, match="imposter"):
        house.client()


def test_an_identity_that_the_list_does_not_name_is_refused_and_journaled(house: Listening) -> None:
    with pytest.raises(KeyPolicyRefused, match=r"does not name .*/stranger"):
        house.client("stranger")
    assert ("spiffe://subs.internal/stranger", "call", "generation", "", "refused") in house.journal()


def test_a_client_speaks_only_for_its_callers_and_asks_only_for_its_methods(house: Listening) -> None:
    identity = house.authority.identity("web")
    house.allow(AllowedClient(identity, ("identity",), ("create", "open", "generation")))
    house.stop()
    client = house.start().client()
    client.create("identity", Kind.SUBJECT, "subject", "acc_1")
    for attempt in (
        lambda: client.open("billing", Kind.SUBJECT, "acc_1"),
        lambda: client.create("", Kind.SUBJECT, "subject", "acc_2"),
        lambda: client.rotate("identity", "subject"),
        lambda: client.tombstones("identity"),
        lambda: client.erased_since(0),
    ):
        with pytest.raises(KeyPolicyRefused, match="allow list"):
            attempt()
    # what the list allows, the policy of the caller still refuses
    with pytest.raises(KeyPolicyRefused, match="may not create"):
        client.create("identity", Kind.SECRET, "storage.key", "storage.key")
    assert [entry for entry in house.journal() if entry[-1] == "refused"] == [
        (identity, "call", "open", "billing", "refused"),
        (identity, "call", "create", "", "refused"),
        (identity, "call", "rotate", "identity", "refused"),
        (identity, "call", "tombstones", "identity", "refused"),
        (identity, "call", "erased_since", "", "refused"),
        ("identity", "create", "storage.key", "storage.key", "refused"),
    ]


def test_an_empty_list_starts_and_refuses_everybody(house: Listening) -> None:
    house.allow()
    house.stop()
    house.start()
    with pytest.raises(KeyPolicyRefused):
        house.client()


def test_a_client_is_shut_out_without_a_restart_and_a_damaged_list_shuts_out_all(house: Listening) -> None:
    client = house.client()
    client.create("identity", Kind.SUBJECT, "subject", "acc_1")
    whole = house.allow_path.read_text()

    def eventually(text: str, check: Callable[[], bool]) -> None:
        house.allow_path.write_text(text)
        end = time.monotonic() + 20
        while not check():
            assert time.monotonic() < end
            time.sleep(0.05)

    def shut_out() -> bool:
        try:
            client.open("identity", Kind.SUBJECT, "acc_1")
        except KeyPolicyRefused:
            return True
        return False

    eventually("[[client]]\nidentity = ", shut_out)
    with pytest.raises(KeyPolicyRefused):
        house.client()
    eventually(whole, lambda: not shut_out())
    eventually("", shut_out)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[[client]]\nidentity = "spiffe://d/a"\ncallers = ["identify"]\nmethods = []\n', "identify"),
        ('[[client]]\nidentity = "spiffe://d/a"\ncallers = []\nmethods = ["*"]\n', r"\*"),
        ('[[client]]\nidentity = "a"\ncallers = []\nmethods = []\n', "spiffe"),
        ('[[client]]\nidentity = "spiffe://d/a"\n', "not valid"),
        ('[[clients]]\nidentity = "spiffe://d/a"\n', "not valid"),
        ("\xff", "not valid"),
    ],
)
def test_a_list_that_says_what_does_not_exist_is_refused_at_start(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "allow.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(StartError, match=says):
        read_allow_list(path)
    path.write_text(write_allow_list([everything("spiffe://d/a")] * 2, "twice"))
    with pytest.raises(StartError, match="twice"):
        read_allow_list(path)
    path.unlink()
    with pytest.raises(StartError, match="cannot be read"):
        read_allow_list(path)


GARBAGE = {
    "no tls inside": b"\x00\x00\x00\x05hello",
    "empty frame": b"\x00\x00\x00\x00",
    "too long": pack(">I", REQUEST_LIMIT + 1),
    "longest": b"\xff\xff\xff\xff" + bytes(100),
    "no messagepack": pack(">I", 3) + b"\xc1\xc1\xc1",
    "deep": pack(">I", 60_000) + b"\x91" * 60_000,
    "another shape": pack(">I", 1) + b"\x01",
    "unknown method": pack(">I", 10) + msgspec.msgpack.encode([1, "close", {}]),
    "a private method": pack(">I", 13) + msgspec.msgpack.encode([1, "_record", {}]),
    "unknown argument": pack(">I", 17) + msgspec.msgpack.encode([1, "generation", {"a": 1}]),
}


@pytest.mark.parametrize("sent", GARBAGE.values(), ids=GARBAGE.keys())
def test_what_is_no_request_ends_its_connection_and_no_other(house: Listening, sent: bytes) -> None:
    with house.raw() as good, house.raw() as bad:
        assert ask(good) == 0
        length = len(sent) - 4
        if sent[:4] not in (b"\x00\x00\x00\x00", b"\xff\xff\xff\xff") and length > 0:
            sent = pack(">I", length) + sent[4:]
        bad.sendall(sent)
        assert ends(bad)
        assert ask(good) == 0


def test_a_cut_request_ends_when_its_client_does(house: Listening) -> None:
    whole = write_request(1, "generation", GENERATION.bind((), {}))
    with house.raw() as connection:
        connection.sendall(whole[:-1])
    with house.raw() as connection:
        for byte in whole:
            connection.sendall(bytes([byte]))
        assert connection.recv(100)


def test_plain_text_and_half_handshakes_keep_nobody_out(house: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_listener, "HANDSHAKE_SECONDS", 0.5)
    slow = [socket.create_connection(("127.0.0.1", house.port)) for _ in range(service_listener.PENDING * 2)]
    slow[0].sendall(b"GET / HTTP/1.1\r\n\r\n")
    slow[1].sendall(b"\x16\x03\x01")
    assert house.client().generation() == 0
    for connection in slow:
        with connection:
            assert ends(connection)


def test_too_many_handshakes_end_the_oldest(house: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_listener, "HANDSHAKE_SECONDS", 60.0)
    slow = [socket.create_connection(("127.0.0.1", house.port)) for _ in range(service_listener.PENDING + 20)]
    for connection in slow[:20]:
        assert ends(connection, 20)
    assert house.client().generation() == 0
    assert not ends(slow[-1], 0.2)
    for connection in slow:
        connection.close()


def test_a_request_that_drips_is_cut_off(house: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_listener, "FRAME_SECONDS", 0.3)
    with house.raw() as connection:
        assert ask(connection) == 0
        # lying idle between requests is no fault
        time.sleep(0.5)
        assert ask(connection) == 0
        began = time.monotonic()
        connection.sendall(b"\x00\x00")
        assert ends(connection)
        assert time.monotonic() - began < 4


def test_more_connections_than_it_keeps_are_closed(tmp_path: Path) -> None:
    with listening(tmp_path, settings=KeySettings(clients=2)) as house:
        with house.raw() as first, house.raw() as second:
            assert (ask(first), ask(second)) == (0, 0)
            with house.raw() as third:
                assert ends(third)
            assert ask(first) == 0
        end = time.monotonic() + 10
        while True:
            try:
                with house.raw() as again:
                    assert ask(again) == 0
                    break
            except OSError:
                assert time.monotonic() < end


def test_files_that_are_not_there_are_named(house: Listening) -> None:
    good = house.client_settings()
    for field in ("certificate", "certificate_key", "authority"):
        for value, says in (("", "is not set"), ("/nowhere/at/all", "which is not there")):
            with pytest.raises(StartError, match=f"SUBS_KEYS_{field}".upper() + ".*" + says):
                identity_files(msgspec.structs.replace(good, **{field: value}))
