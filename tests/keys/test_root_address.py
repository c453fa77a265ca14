"""The one setting that says where the root is: what it accepts, and what it says of the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from subscription_services.kernel.errors import SettingsError
from subscription_services.keys.roots.address import (
    AwsAddress,
    FileAddress,
    TokenAddress,
    TransitAddress,
    parse,
)

MODULE = "module-path=/usr/lib/p11.so&pin-source=file:/etc/subs/pin"
ARN = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"


def test_a_file() -> None:
    assert parse("file:") == FileAddress(None)
    assert parse(" file:/run/keys/root.key ") == FileAddress(Path("/run/keys/root.key"))


def test_a_token_is_named_as_in_rfc_7512() -> None:
    found = parse(f"pkcs11:token=The%20Token;object=root;id=%01%AB;serial=00ff;type=secret-key?{MODULE}")
    assert isinstance(found, TokenAddress)
    assert (found.token, found.label, found.id, found.serial) == ("The Token", "root", b"\x01\xab", b"00ff")
    assert (found.module, found.pin) == (Path("/usr/lib/p11.so"), Path("/etc/subs/pin"))
    for source in ("/etc/subs/pin", "file:///etc/subs/pin", "file:/etc/subs/pin"):
        again = parse(f"pkcs11:token=t;object=o?module-path=/m.so&pin-source={source}")
        assert isinstance(again, TokenAddress) and again.pin == Path("/etc/subs/pin")


def test_a_key_of_aws() -> None:
    assert parse(f"aws-kms:{ARN}") == AwsAddress(f"aws-kms:{ARN}", ARN, "eu-central-1", "")
    found = parse("aws-kms:alias/subs-root?region=eu-west-1&endpoint=https://kms.internal")
    assert isinstance(found, AwsAddress)
    assert (found.key, found.region, found.endpoint) == ("alias/subs-root", "eu-west-1", "https://kms.internal")


def test_a_key_of_transit() -> None:
    found = parse("vault:https://bao.internal:8200/teams/transit/subs-root?token-file=/t&ca-file=/ca.pem&namespace=a/b")
    assert isinstance(found, TransitAddress)
    assert (found.origin, found.mount, found.key) == ("https://bao.internal:8200", "teams/transit", "subs-root")
    assert (found.token, found.authority, found.namespace) == (Path("/t"), Path("/ca.pem"), "a/b")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "begins with"),
        ("root.key", "begins with"),
        ("https://vault", "begins with"),
        ("file:root.key", "absolute"),
        ("pkcs11:token=t;object=o?module-path=/m.so&pin-value=1234", "never stands in a setting"),
        (f"pkcs11:object=o?{MODULE}", "name the token and the key"),
        (f"pkcs11:token=t?{MODULE}", "name the token and the key"),
        ("pkcs11:token=t;object=o?module-path=m.so&pin-source=/p", "module-path is an absolute path"),
        ("pkcs11:token=t;object=o?module-path=/m.so", "pin-source is an absolute path"),
        (f"pkcs11:token=t;token=u;object=o?{MODULE}", "twice"),
        (f"pkcs11:token=t;object=o;colour=red?{MODULE}", "unknown"),
        (f"pkcs11:token=t;object=o;type=private?{MODULE}", "secret-key"),
        (f"pkcs11:token=%FF;object=o?{MODULE}", "UTF-8"),
        ("aws-kms:1234abcd", "ARN or alias"),
        ("aws-kms:alias/x", "region"),
        (f"aws-kms:{ARN}?region=us-east-1", "region is that of the key"),
        (f"aws-kms:{ARN}?secret=x", "unknown"),
        (f"aws-kms:{ARN}?endpoint=http://kms.internal", "https"),
        ("vault:http://bao.internal:8200/transit/k?token-file=/t", "https"),
        ("vault:https://user:pass@bao.internal/transit/k?token-file=/t", "password"),
        ("vault:https://bao.internal/k?token-file=/t", "MOUNT/KEY"),
        ("vault:https://bao.internal/transit/../sys/k?token-file=/t", "MOUNT/KEY"),
        ("vault:https://bao.internal/transit/k", "token-file is an absolute path"),
        ("vault:https://bao.internal/transit/k?token=hvs.x", "unknown"),
        ("vault:https://bao.internal:port/transit/k?token-file=/t", "cannot be read"),
        ("vault:https:///transit/k?token-file=/t", "https"),
    ],
)
def test_what_is_not_an_address_is_refused_with_what_would_be(text: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        parse(text)


def test_no_refusal_repeats_a_pin_or_token() -> None:
    for text in ("pkcs11:token=t;object=o?pin-value=82461357", "vault:https://b/transit/k?token=hvs.82461357"):
        with pytest.raises(SettingsError) as caught:
            parse(text)
        assert "82461357" not in caught.value.text
