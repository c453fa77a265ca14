"""The whole house with its key service apart: nobody else holds the root, and a restart is survived."""

from __future__ import annotations

import os
import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from tests.stories.running import Service, command_line, eventually, start
from tests.stories.visitor import PASSWORD, Visitor

pytestmark = [pytest.mark.xdist_group("stories"), pytest.mark.timeout(280)]


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of its own, whose key service is apart."""
    running = start(tmp_path_factory.mktemp("apart"), SUBS_KEYS_APART="true", SUBS_PROCESSES="1")
    yield running
    running.stop()


def holding(service: Service, name: str) -> set[str]:
    """The last word of the command line of each process that has such a file of the keys open."""
    found = set()
    for number in service.children():
        try:
            opened = [str(entry.readlink()) for entry in Path(f"/proc/{number}/fd").iterdir()]
        except OSError:
            continue
        if any(f"/keys/{name}" in path for path in opened):
            found.add(" ".join(command_line(number).split()[-2:]))
    return found


def refused(client: httpx.Client, path: str) -> httpx.Response | None:
    answer = client.get(path)
    return answer if answer.status_code == 503 else None


def join_when_back(service: Service) -> Visitor:
    """Somebody new, as soon as the key service answers again; tries meanwhile count against nobody."""
    newcomer = Visitor(service)

    def signed_up() -> bool:
        try:
            newcomer.sign_up()
        except AssertionError as error:
            assert "key service is not answering" in str(error)
            return False
        return True

    eventually(signed_up, 180)
    newcomer.verify()
    newcomer.sign_in()
    return newcomer


def key_service(service: Service) -> int:
    (found,) = service.parts("cli keys serve")
    return found


def test_from_sign_up_to_sign_in_only_the_key_service_opens_the_keys(apart: Service) -> None:
    vera = Visitor(apart).join()
    assert vera.email in vera.get("/account")
    assert holding(apart, "keys.db") == {"keys serve"}
    for part in ("cli serve", "cli work"):
        for number in apart.parts(part):
            environment = Path(f"/proc/{number}/environ").read_bytes().split(b"\0")
            assert any(item.startswith(b"SUBS_KEYS_SERVICE=127.0.0.1:") for item in environment)


def test_the_security_page_says_that_it_is_kept(apart: Service) -> None:
    def checked() -> str:
        with apart.client() as client:
            shown = client.get("/security.json").json()["promises"]
        found = next(item for item in shown if item["id"] == "kms.central")
        return str(found["state"]) if found["checked_at"] else ""

    assert eventually(checked, 120) == "kept"


def test_it_works_without_the_root_within_reach_of_the_application(apart: Service) -> None:
    """While the key service runs, the root file is taken away: nobody else ever looks for it."""
    root, aside = apart.data / "keys" / "root.key", apart.folder / "aside"
    root.rename(aside)
    try:
        for number in apart.parts("cli work"):
            os.kill(number, signal.SIGKILL)
        Visitor(apart).join()
        assert apart.subs("ledger", "verify").returncode == 0
    finally:
        aside.rename(root)


def test_a_stranger_without_a_certificate_is_turned_away(apart: Service) -> None:
    address = msgspec.json.decode((apart.data / "internal" / "running.json").read_bytes())["address"]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(apart.data / "internal" / "authority.crt")
    host, _, port = address.partition(":")
    with pytest.raises(OSError), context.wrap_socket(socket.create_connection((host, int(port)))) as stranger:
        stranger.sendall(b"\0\0\0\1x")
        if not stranger.recv(1):
            raise ConnectionResetError


def test_a_killed_key_service_comes_back_and_nobody_has_to_sign_in_again(apart: Service) -> None:
    vera = Visitor(apart).join()
    before = key_service(apart)
    os.kill(before, signal.SIGKILL)
    seen = set()

    def answers() -> bool:
        found = vera.client.get("/account", headers={"accept": "text/html"}).status_code
        seen.add(found)
        return found == 200 and bool(apart.parts("cli keys serve"))

    eventually(answers, 180)
    eventually(lambda: apart.parts("cli keys serve") not in ([], [before]), 180)
    assert seen <= {200, 503}
    join_when_back(apart)


def test_while_the_key_service_stands_still_the_answer_is_a_clear_503(apart: Service) -> None:
    vera = Visitor(apart).join()
    os.kill(key_service(apart), signal.SIGSTOP)
    try:
        answer = eventually(lambda: refused(vera.client, "/account"), 40)
        assert "key service" in answer.text
        with apart.client() as program:
            newcomer = {"email": "a@example.org", "name": "A", "password": PASSWORD}
            answer = program.post("/api/identity.sign_up", json=newcomer)
        assert answer.status_code == 503
        assert answer.headers["content-type"].startswith("application/problem+json")
        assert "key service" in answer.json()["detail"]
        assert "127.0.0.1" not in answer.text
        assert int(answer.headers["retry-after"]) > 0
    finally:
        os.kill(key_service(apart), signal.SIGCONT)
    eventually(lambda: vera.client.get("/account").status_code == 200, 180)
    join_when_back(apart)
