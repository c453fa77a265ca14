"""A root key in AWS KMS: Encrypt and Decrypt of a symmetric key, the context as encryption context.

The encryption context stands in CloudTrail; it names a purpose and version, never a person.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from typing import Any

from subscription_services.kernel.errors import SettingsError
from subscription_services.keys.encoding import bind
from subscription_services.keys.errors import (
    KeyTampered,
    RootKeyMissing,
    RootKeyRefused,
    RootKeyUnreachable,
    RootKeyUnsafe,
)

from .address import AwsAddress
from .providers import bound, library

CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 2.0, 5.0, 3
_CHANGED = ("InvalidCiphertextException", "IncorrectKeyException")
_DISABLED = ("DisabledException", "KMSInvalidStateException")
_REFUSED = (
    "AccessDeniedException", "ExpiredTokenException", "IncompleteSignature", "InvalidClientTokenId",
    "InvalidSignatureException", "MissingAuthenticationToken", "NotAuthorized", "OptInRequired",
    "UnrecognizedClientException",
)  # fmt: skip


class AwsRoot:
    """Satisfies providers.Wrapping.

    Raises RootKeyMissing, RootKeyRefused, RootKeyUnreachable, RootKeyUnsafe, and StartError without the library.
    """

    def __init__(self, address: AwsAddress) -> None:
        self._service = _Service(address)
        key = self._service.call("describe_key", KeyId=address.key)["KeyMetadata"]
        if key.get("KeyUsage") != "ENCRYPT_DECRYPT" or key.get("KeySpec") != "SYMMETRIC_DEFAULT":
            raise RootKeyUnsafe(f"The AWS key {address.key} must be symmetric, for encrypting and decrypting.")
        if key.get("KeyState") != "Enabled":
            raise RootKeyRefused(f"The AWS key {address.key} is {key.get('KeyState')}, not enabled. Enable it.")
        self._arn = str(key["Arn"])
        # The replicas of a multi-Region key are one key with one id.
        name = str(key["KeyId"]) if str(key["KeyId"]).startswith("mrk-") else self._arn
        self._fingerprint = hashlib.sha256(bind("subs.root.fingerprint.v1", "aws-kms", name)).hexdigest()[:32]

    def __repr__(self) -> str:
        return f"AwsRoot({self.fingerprint})"

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    def wrap(self, key: bytes, context: bytes) -> bytes:
        answer = self._service.call("encrypt", KeyId=self._arn, Plaintext=key, EncryptionContext=_said(context))
        return bytes(answer["CiphertextBlob"])

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        if not 1 <= len(wrapped) <= 6144:
            raise KeyTampered
        try:
            return self._decrypt(wrapped, context)
        except RootKeyRefused:
            # AWS also says so of a ciphertext that names another key. So: may we decrypt at all?
            self._decrypt(self.wrap(b"probe", context), context)
        raise KeyTampered

    def _decrypt(self, wrapped: bytes, context: bytes) -> bytes:
        said = _said(context)
        return bytes(
            self._service.call("decrypt", KeyId=self._arn, CiphertextBlob=wrapped, EncryptionContext=said)["Plaintext"]
        )


def create_key(address: AwsAddress) -> str:
    """Make a key with yearly rotation and give it the alias; the answer is its address. Raises RootKeyUnsafe."""
    if not address.key.startswith("alias/"):
        raise SettingsError("AWS names a new key itself. Give aws-kms:alias/NAME?region=REGION to make one.")
    service = _Service(address)
    try:
        service.call("describe_key", KeyId=address.key)
    except RootKeyMissing:
        made = service.call(
            "create_key", Description="Root key of the key hierarchy", KeySpec="SYMMETRIC_DEFAULT",
            KeyUsage="ENCRYPT_DECRYPT",
        )["KeyMetadata"]  # fmt: skip
        service.call("create_alias", AliasName=address.key, TargetKeyId=made["KeyId"])
        service.call("enable_key_rotation", KeyId=made["KeyId"])
        return f"aws-kms:{made['Arn']}" + (f"?endpoint={address.endpoint}" if address.endpoint else "")
    raise RootKeyUnsafe(f"There is an AWS key {address.key} already.")


def _said(context: bytes) -> dict[str, str]:
    return {"subs": b64encode(bound(context)).decode()}


class _Service:
    """Calls with time limits and a bounded number of tries, errors in our words."""

    def __init__(self, address: AwsAddress) -> None:
        self._errors = library("botocore.exceptions", "boto3")
        config = library("botocore.config", "boto3").Config(
            connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS,
            retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
        )  # fmt: skip
        self._address = address
        # A session of its own: the library's shared one remembers credentials that were renewed or taken away.
        session = library("boto3", "boto3").Session()
        self._client = session.client(
            "kms", region_name=address.region, endpoint_url=address.endpoint or None, config=config
        )

    def call(self, method: str, **request: Any) -> Any:
        try:
            return getattr(self._client, method)(**request)
        except self._errors.ClientError as error:
            raise self._explain(str(error.response.get("Error", {}).get("Code", "")), method) from error
        except (self._errors.NoCredentialsError, self._errors.PartialCredentialsError) as error:
            raise RootKeyRefused(
                "There are no AWS credentials. Give this service a role, or AWS_* variables."
            ) from error
        except self._errors.BotoCoreError as error:
            raise RootKeyUnreachable(
                f"AWS KMS in {self._address.region} does not answer ({error}). Look at the network and at the region."
            ) from error

    def _explain(self, code: str, method: str) -> Exception:
        key = self._address.key
        if code in _CHANGED:
            return KeyTampered()
        if code == "NotFoundException":
            return RootKeyMissing(f"There is no AWS key {key} in {self._address.region}. Correct SUBS_KEYS_ROOT.")
        if code in _DISABLED:
            return RootKeyRefused(f"The AWS key {key} is disabled or about to be deleted. Enable it.")
        if code in _REFUSED:
            return RootKeyRefused(
                f"AWS refuses {method} with key {key} ({code}). Allow kms:DescribeKey, kms:Encrypt and kms:Decrypt."
            )
        return RootKeyUnreachable(f"AWS KMS did not carry out {method} with key {key} ({code}). It is safe to repeat.")
