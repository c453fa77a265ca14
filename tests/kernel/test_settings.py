"""Settings: parsed once, frozen, unknown keys fatal, every one documented."""

from __future__ import annotations

from pathlib import Path

import pytest

from subscription_services import app
from subscription_services.kernel.errors import SettingsError
from subscription_services.kernel.settings import HouseSettings, Slice, entries, load


def house(**environment: str) -> HouseSettings:
    return load((Slice("", HouseSettings),), environment).of(HouseSettings)


def test_defaults_and_variables() -> None:
    assert (house().https_port, house().http_port, house().database, house().sandbox) == (8443, 8080, "", False)
    assert house(SUBS_HTTPS_PORT="9443", SUBS_SANDBOX="true").https_port == 9443
    assert house(PATH="/bin").data == "var"


@pytest.mark.parametrize(
    "environment",
    [{"SUBS_HTPS_PORT": "1"}, {"SUBS_HTTPS_PORT": "often"}, {"SUBS_SANDBOX": "perhaps"}, {"SUBS_CONFIG": "/nowhere"}],
)
def test_what_is_wrong_is_named(environment: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as caught:
        house(**environment)
    assert caught.value.text


def test_one_file_and_the_environment_over_it(tmp_path: Path) -> None:
    file = tmp_path / "subs.toml"
    file.write_text('https_port = 1443\npublic_name = "example.org"\n')
    read = house(SUBS_CONFIG=str(file), SUBS_HTTPS_PORT="2443")
    assert (read.https_port, read.public_name) == (2443, "example.org")


@pytest.mark.parametrize("text", ["colour = 1", "[rooms]\nx = 1", "not toml", "https_port = []"])
def test_a_wrong_file_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "subs.toml"
    file.write_text(text)
    with pytest.raises(SettingsError):
        house(SUBS_CONFIG=str(file))


def test_every_setting_says_what_it_does() -> None:
    found = [entry for part in app.SLICES for entry in entries(part)]
    assert len({entry.variable for entry in found}) == len(found)
    assert all(entry.says.endswith((".", ".)")) and len(entry.says) > 15 for entry in found)
