"""The keys that sign access tokens, and those that still or already verify them.

A secret (HS256) is enough for a service that verifies its own tokens. Where others verify
them too, each would have to know the secret and could sign with it: Ed25519 keys then,
whose public halves are published.

They are in one file, a private JWK set (RFC 7517), in this order: the key that signs, the
one that will sign next, the one that signed before. All of them are published and verify.
So a key is known everywhere before it signs, and its last tokens are good until they expire.

Services that only check tokens have the same set without its private parts.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from jwt.algorithms import OKPAlgorithm

Key = Ed25519PrivateKey | Ed25519PublicKey


class NothingToSignWith(Exception):
    """This process has public keys only."""


class SigningKeys:
    """Keys of one algorithm, by their ids: the first signs, all of them verify."""

    def __init__(self, algorithm: str, keys: Mapping[str | None, Any]) -> None:
        """Keep the keys where `repr` does not show them."""
        self.algorithm = algorithm
        self._keys = dict(keys)

    @classmethod
    def hs256(cls, secret: str) -> "SigningKeys":
        """Sign with a secret. It has no id: there is one."""
        return cls("HS256", {None: secret.encode()})

    @classmethod
    def ed25519(cls, keys: Sequence[Key]) -> "SigningKeys":
        """Sign with the first of these keys; with public ones, only verify."""
        return cls("EdDSA", {thumbprint(key): key for key in keys})

    def sign(self, claims: dict[str, Any], token_type: str) -> str:
        """Make a token.

        Raises:
            NothingToSignWith: If there are public keys only.
        """
        kid, key = next(iter(self._keys.items()))
        if isinstance(key, Ed25519PublicKey):
            raise NothingToSignWith("Only the service that has JWT_KEYS_FILE signs tokens; this one verifies them.")
        headers = {"typ": token_type} if kid is None else {"typ": token_type, "kid": kid}
        return jwt.encode(claims, key, self.algorithm, headers)

    def verify(self, token: str, token_type: str, **options: Any) -> dict[str, Any]:
        """Return the claims of a token.

        The token says which of our keys it was signed with, and nothing else about how it is verified.

        Args:
            token: What was shown.
            token_type: The kind of token it must be, so that one for another purpose does not pass.
            **options: What else `jwt.decode` shall hold it to.

        Raises:
            InvalidTokenError: If it is not good.
        """
        header = jwt.get_unverified_header(token)
        kid = header.get("kid")
        if header.get("typ") != token_type or kid not in self._keys:
            raise jwt.InvalidTokenError("The type or the key is not ours.")
        claims: dict[str, Any] = jwt.decode(token, self._keys[kid], [self.algorithm], **options)
        return claims

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """Return the public keys as a JWK set; of a secret there is nothing to publish."""
        keys = self._keys.values() if self.algorithm == "EdDSA" else ()
        return {"keys": [{**_described(key), **_public(key)} for key in keys]}


def thumbprint(key: Key) -> str:
    """Return the id of a key (RFC 7638): it follows from the key, so two keys never share one."""
    members = json.dumps(_public(key), sort_keys=True, separators=(",", ":"))
    return base64.urlsafe_b64encode(hashlib.sha256(members.encode()).digest()).rstrip(b"=").decode()


def read_keys(path: Path) -> list[Ed25519PrivateKey]:
    """Read the file with the keys.

    Raises:
        ValueError: If it cannot be read or holds anything but private Ed25519 keys.
    """
    keys = _read(path, "app keys generate")
    private = [key for key in keys if isinstance(key, Ed25519PrivateKey)]
    if not keys or len(private) < len(keys):
        raise ValueError(f"{path} must hold private Ed25519 keys and no others. Make one: app keys generate")
    return private


def read_public_keys(path: Path) -> list[Ed25519PublicKey]:
    """Read the file with the public halves.

    Raises:
        ValueError: If it cannot be read or holds anything but public Ed25519 keys.
    """
    keys = _read(path, "app keys public")
    public = [key for key in keys if isinstance(key, Ed25519PublicKey)]
    if not keys or len(public) < len(keys):
        raise ValueError(
            f"{path} must hold public Ed25519 keys and no others; with a private one this service could sign. "
            "Make one: app keys public"
        )
    return public


def _read(path: Path, command: str) -> list[Any]:
    try:
        return [OKPAlgorithm.from_jwk(jwk) for jwk in json.loads(path.read_text("utf-8"))["keys"]]
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, LookupError, TypeError, AttributeError, jwt.PyJWTError):
        raise ValueError(f"{path} is not a JWK set. Make one: {command}") from None


def generate() -> list[Ed25519PrivateKey]:
    """Make the first keys: one that signs, and one that will sign next."""
    return [Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()]


def rotate(keys: Sequence[Ed25519PrivateKey]) -> list[Ed25519PrivateKey]:
    """Let the next key sign, keep the one before for its last tokens, and make a new next one.

    A file with a single key, made elsewhere, gets a next one first.
    """
    new = Ed25519PrivateKey.generate()
    current, *others = keys
    return [others[0], new, current] if others else [current, new]


def dump_keys(keys: Sequence[Ed25519PrivateKey]) -> str:
    """Write keys as a private JWK set."""
    return json.dumps(
        {"keys": [{**_described(key), **OKPAlgorithm.to_jwk(key, as_dict=True)} for key in keys]}, indent=2
    )


def dump_public_keys(keys: Sequence[Ed25519PrivateKey]) -> str:
    """Write the public halves of keys as a JWK set."""
    return json.dumps(SigningKeys.ed25519(keys).jwks(), indent=2)


def _described(key: Key) -> dict[str, str]:
    return {"kid": thumbprint(key), "use": "sig", "alg": "EdDSA"}


def _public(key: Key) -> dict[str, str]:
    half = key.public_key() if isinstance(key, Ed25519PrivateKey) else key
    public: dict[str, str] = OKPAlgorithm.to_jwk(half, as_dict=True)
    return public
