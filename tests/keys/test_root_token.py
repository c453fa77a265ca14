"""A root in a real SoftHSM2 token: it cannot be taken out, and what is said when the token is not as it should be."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from subscription_services.keys import RootKeyMissing, RootKeyUnsafe
from subscription_services.keys.errors import RootKeyRefused, RootKeyUnreachable
from subscription_services.keys.roots.address import parse
from subscription_services.keys.roots.choice import open_root
from subscription_services.keys.roots.providers import Wrapping

from . import root_holders
from .root_holders import PIN, Holder, write_secret


def open_it(address: str) -> Wrapping:
    return open_root(parse(address), Path("/nonexistent"), os.urandom)


def test_the_root_in_a_token_cannot_be_read(tokens: Holder) -> None:
    import pkcs11
    from pkcs11 import Attribute

    address = parse(tokens.new())
    name = str(address).partition("object=")[2].partition("?")[0]
    token = pkcs11.lib(root_holders.softhsm()).get_token(token_label="subs")
    with token.open(user_pin=PIN, rw=True) as session:
        (key,) = session.get_objects({Attribute.LABEL: name})
        with pytest.raises(pkcs11.AttributeSensitive):
            key[Attribute.VALUE]
        assert key[Attribute.SENSITIVE] and key[Attribute.ALWAYS_SENSITIVE] and key[Attribute.NEVER_EXTRACTABLE]
        assert not key[Attribute.EXTRACTABLE] and key[Attribute.LOCAL]
        for name_of in (Attribute.EXTRACTABLE, Attribute.SENSITIVE):
            with pytest.raises(pkcs11.PKCS11Error):
                key[name_of] = not key[name_of]
        wrapping: Any = session.generate_key(pkcs11.KeyType.AES, 256, capabilities=pkcs11.MechanismFlag.WRAP)
        with pytest.raises(pkcs11.PKCS11Error):
            wrapping.wrap_key(key, mechanism=pkcs11.Mechanism.AES_KEY_WRAP)


@pytest.mark.parametrize(("attribute", "value"), [("EXTRACTABLE", True), ("SENSITIVE", False)])
def test_a_key_that_can_be_taken_out_of_its_token_is_refused(tokens: Holder, attribute: str, value: bool) -> None:
    import pkcs11

    token, label = pkcs11.lib(root_holders.softhsm()).get_token(token_label="subs"), f"loose-{attribute}"
    with token.open(user_pin=PIN, rw=True) as session:
        session.generate_key(
            pkcs11.KeyType.AES, 256, label=label, id=b"1", store=True,
            capabilities=pkcs11.MechanismFlag.ENCRYPT | pkcs11.MechanismFlag.DECRYPT,
            template={pkcs11.Attribute[attribute]: value},
        )  # fmt: skip
    with pytest.raises(RootKeyUnsafe, match="taken out of its token"):
        open_it(f"pkcs11:token=subs;object={label}{tokens.tail}")


def test_a_shorter_key_is_refused(tokens: Holder) -> None:
    import pkcs11

    token = pkcs11.lib(root_holders.softhsm()).get_token(token_label="subs")
    with token.open(user_pin=PIN, rw=True) as session:
        session.generate_key(
            pkcs11.KeyType.AES, 128, label="short", id=b"2", store=True, template={pkcs11.Attribute.EXTRACTABLE: False}
        )
    with pytest.raises(RootKeyUnsafe, match="256 bits"):
        open_it(f"pkcs11:token=subs;object=short{tokens.tail}")


def test_two_keys_of_one_name_are_told_apart_by_id(tokens: Holder) -> None:
    for number in (1, 2):
        tokens.create(f"pkcs11:token=subs;object=twin;id=%0{number}{tokens.tail}")
    with pytest.raises(RootKeyUnsafe, match="by its id"):
        open_it(f"pkcs11:token=subs;object=twin{tokens.tail}")
    one, two = (open_it(f"pkcs11:token=subs;object=twin;id=%0{number}{tokens.tail}") for number in (1, 2))
    assert one.fingerprint != two.fingerprint


def test_the_token_can_be_named_by_its_serial(tokens: Holder) -> None:
    import pkcs11

    address = tokens.new()
    serial = pkcs11.lib(root_holders.softhsm()).get_token(token_label="subs").serial.decode()
    assert (
        open_it(address.replace("token=subs", f"token=subs;serial={serial}")).fingerprint
        == open_it(address).fingerprint
    )
    with pytest.raises(RootKeyUnreachable, match="0 tokens"):
        open_it(address.replace("token=subs", "token=subs;serial=0000"))


@pytest.mark.parametrize("pin", ["11111111", "1"])
def test_a_wrong_pin(tokens: Holder, tmp_path: Path, pin: str) -> None:
    address, wrong = tokens.new(), write_secret(tmp_path / "pin", pin)
    with pytest.raises(RootKeyRefused, match="Wrong PIN") as caught:
        open_it(address.rpartition("file:")[0] + f"file:{wrong}")
    assert pin not in caught.value.text.replace(str(wrong), "")
    assert open_it(address)


@pytest.mark.parametrize(
    ("content", "mode", "says"),
    [(PIN, 0o640, "chmod 600"), (PIN, 0o604, "chmod 600"), ("", 0o600, "one line"), ("a\nb", 0o600, "one line")],
)
def test_a_pin_file_that_is_not_fit(tokens: Holder, tmp_path: Path, content: str, mode: int, says: str) -> None:
    address, pin = tokens.new(), tmp_path / "pin"
    pin.write_text(content)
    pin.chmod(mode)
    with pytest.raises(RootKeyUnsafe, match=says):
        open_it(address.rpartition("file:")[0] + f"file:{pin}")
    pin.unlink()
    with pytest.raises(RootKeyMissing, match="no file"):
        open_it(address.rpartition("file:")[0] + f"file:{pin}")


def test_a_token_or_module_that_is_not_there(tokens: Holder, tmp_path: Path) -> None:
    with pytest.raises(RootKeyUnreachable, match="0 tokens named none"):
        open_it(f"pkcs11:token=none;object=o{tokens.tail}")
    pin = write_secret(tmp_path / "pin", PIN)
    for module in ("/nonexistent.so", __file__):
        with pytest.raises(RootKeyUnreachable, match="module-path"):
            open_it(f"pkcs11:token=subs;object=o?module-path={module}&pin-source={pin}")


def test_a_module_that_was_set_up_anew_meanwhile_is_asked_again(tokens: Holder) -> None:
    import pkcs11

    root = open_it(tokens.new())
    wrapped = root.wrap(b"k" * 32, b"c")
    pkcs11.lib(root_holders.softhsm()).finalize()
    assert root.unwrap(wrapped, b"c") == b"k" * 32


def test_many_threads_share_a_token(tokens: Holder) -> None:
    root, failed = open_it(tokens.new()), []

    def work() -> None:
        for number in range(20):
            key = bytes([number]) * 32
            if root.unwrap(root.wrap(key, b"c"), b"c") != key:
                failed.append(number)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failed
