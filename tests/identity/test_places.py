"""Where a session is, roughly: from a database when there is one, in words that promise no more than it knows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet
from sqlalchemy import select

from subscription_services.identity import model
from subscription_services.identity.letters import LETTERS
from subscription_services.identity.operations.devices import ListDevices
from subscription_services.identity.operations.sign_in import SignIn
from subscription_services.identity.places import UNKNOWN, near, use_places
from subscription_services.kernel.actors import Anonymous
from subscription_services.kernel.context import Origin
from subscription_services.kernel.errors import StartError
from subscription_services.mail import SiteFacts
from subscription_services.testing import World
from subscription_services.testing.people import PASSWORD
from tests.identity.browsing import FIREFOX, Browser

SITE = SiteFacts("https://localhost:8443", "Subscription Services", "support@example.org")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Path]:
    """Documentation addresses (RFC 5737, RFC 3849) at made-up places; closed again at the end."""
    writer = MMDBWriter(6, "GeoLite2-City", languages=["en"], ipv4_compatible=True)
    lyon = {"city": {"names": {"en": "Lyon", "de": "Lyon"}}, "country": {"names": {"en": "France"}}}
    writer.insert_network(IPSet(["192.0.2.0/24"]), lyon)
    writer.insert_network(IPSet(["2001:db8::/32"]), {"country": {"names": {"en": "Chile"}}})
    writer.insert_network(IPSet(["198.51.100.0/24"]), {"city": "Oslo\r\n\x1b[2J<b>", "country": {"name": "Norway"}})
    writer.insert_network(IPSet(["203.0.113.0/24"]), {"location": {"latitude": 1.0}})
    path = tmp_path / "places.mmdb"
    writer.to_db_file(str(path))
    yield path
    use_places("")


def test_places_are_named_as_roughly_as_they_are_known(database: Path) -> None:
    assert near("192.0.2.7") == UNKNOWN  # nothing is configured
    use_places(str(database))
    assert near("192.0.2.7") == "near Lyon, France (approximate)"
    assert near("2001:db8::1") == "Chile (approximate)"
    assert near("198.51.100.7") == "near Oslo [2J<b>, Norway (approximate)"
    for nowhere in ("203.0.113.7", "127.0.0.1", "", "nonsense", "192.0.2.7; DROP"):
        assert near(nowhere) == UNKNOWN


def test_a_file_that_is_missing_or_wrong_is_said_at_the_start(database: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.mmdb"
    wrong.write_bytes(database.read_bytes()[:200])
    for path in (tmp_path / "nothing.mmdb", wrong, tmp_path):
        with pytest.raises(StartError, match="SUBS_IDENTITY_PLACES"):
            use_places(str(path))
    assert near("192.0.2.7") == UNKNOWN


def test_the_service_does_not_start_with_a_wrong_file(sqlite_template: Path, tmp_path: Path) -> None:
    from subscription_services.testing.world import copy_template

    data = copy_template(sqlite_template, tmp_path / "data")
    with (
        pytest.raises(StartError, match="SUBS_IDENTITY_PLACES"),
        World.open(data, SUBS_IDENTITY_PLACES=str(tmp_path / "no.mmdb")),
    ):
        pass


def test_devices_and_the_letter_say_where(world: World, database: Path) -> None:
    ada = world.subscriber("ada@example.org")
    use_places(str(database))
    origin = Origin("192.0.2.7", FIREFOX, "page")
    signed = world.do("identity.sign_in", Anonymous(), SignIn("ada@example.org", PASSWORD), origin=origin)
    found = {item.id: item.place for item in world.do("identity.devices", ada, ListDevices())}
    assert found == {signed.id: "near Lyon, France (approximate)", ada.session: UNKNOWN}

    (kind,) = [item for item in LETTERS if item.name == "identity.new_device"]
    letter = world.run(kind.compose(world.house.kernel, SITE, ada.id, {"session": signed.id}))
    assert "Firefox on Linux, near Lyon, France (approximate)" in letter.text
    assert "192.0.2.7" not in letter.text
    # a session of somebody else tells nothing, and one that is gone is no reason to stay silent
    eve = world.subscriber("eve@example.org")
    for session in (eve.session, "ses_none"):
        other = world.run(kind.compose(world.house.kernel, SITE, ada.id, {"session": session}))
        assert "Unknown browser, unknown place" in other.text
    with world.house.store.reading() as connection:
        row = connection.execute(select(model.session).where(model.session.c.id == signed.id)).one()
    assert b"Lyon" not in repr(row).encode()


def test_the_page_of_devices_shows_it(world: World, database: Path) -> None:
    browser = Browser(world)
    browser.join("ada@example.org")
    assert UNKNOWN in browser.get("/account/devices").text
