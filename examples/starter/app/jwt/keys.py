"""Keys that sign and verify access tokens.

A secret (HS256) is enough for a service that verifies its own tokens. Other services that verify
them could also sign with the secret, so they need Ed25519 keys, whose public keys are published.

Ed25519 keys are in one file, a JWK set (RFC 7517), in this order: current, next, previous. All of
them verify tokens, so a key is known everywhere before it signs, and its last tokens stay valid.
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


class NoSigningKey(Exception):
    """This process has only public keys."""


class SigningKeys:
    """Keys of one algorithm by key id. The first one signs; all of them verify."""

    def __init__(self, algorithm: str, keys: Mapping[str | None, Any]) -> None:
        """Store the keys; `repr` does not show them."""
        self.algorithm = algorithm
        self._keys = dict(keys)

    @classmethod
    def hs256(cls, secret: str) -> "SigningKeys":
        """Sign with a secret. It has no key id, because there is only one."""
        return cls("HS256", {None: secret.encode()})

    @classmethod
    def ed25519(cls, keys: Sequence[Key]) -> "SigningKeys":
        """Sign with the first of these keys. Public keys can only verify."""
        return cls("EdDSA", {thumbprint(key): key for key in keys})

    def sign(self, claims: dict[str, Any], token_type: str) -> str:
        """Sign a token.

        Raises:
            NoSigningKey: If there are only public keys.
        """
        kid, key = next(iter(self._keys.items()))
        if isinstance(key, Ed25519PublicKey):
            raise NoSigningKey("Only a process with JWT_KEYS_FILE can sign tokens; this one only verifies them.")
        headers = {"typ": token_type} if kid is None else {"typ": token_type, "kid": kid}
        return jwt.encode(claims, key, self.algorithm, headers)

    def verify(self, token: str, token_type: str, **options: Any) -> dict[str, Any]:
        """Verify a token, and return its claims.

        The token only selects one of our keys by its id. It has no other influence on the verification.

        Args:
            token: The token.
            token_type: The required `typ`, so that tokens for other purposes are rejected.
            **options: Additional requirements for `jwt.decode`.

        Raises:
            InvalidTokenError: If the token is invalid.
        """
        header = jwt.get_unverified_header(token)
        kid = header.get("kid")
        if header.get("typ") != token_type or kid not in self._keys:
            raise jwt.InvalidTokenError("Unknown token type or key id.")
        claims: dict[str, Any] = jwt.decode(token, self._keys[kid], [self.algorithm], **options)
        return claims

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """Return the public keys as a JWK set, which is empty for a secret."""
        keys = self._keys.values() if self.algorithm == "EdDSA" else ()
        return {"keys": [{**_metadata(key), **_public_jwk(key)} for key in keys]}


def thumbprint(key: Key) -> str:
    """Return the thumbprint of a key (RFC 7638), which is used as its id."""
    members = json.dumps(_public_jwk(key), sort_keys=True, separators=(",", ":"))
    return base64.urlsafe_b64encode(hashlib.sha256(members.encode()).digest()).rstrip(b"=").decode()


def read_keys(path: Path) -> list[Ed25519PrivateKey]:
    """Read a file with private keys.

    Raises:
        ValueError: If it cannot be read, or contains anything except private Ed25519 keys.
    """
    keys = _read(path, "app keys generate")
    private = [key for key in keys if isinstance(key, Ed25519PrivateKey)]
    if not keys or len(private) < len(keys):
        raise ValueError(f"{path} must contain only private Ed25519 keys. To create it: app keys generate")
    return private


def read_public_keys(path: Path) -> list[Ed25519PublicKey]:
    """Read a file with public keys.

    Raises:
        ValueError: If it cannot be read, or contains anything except public Ed25519 keys.
    """
    keys = _read(path, "app keys public")
    public = [key for key in keys if isinstance(key, Ed25519PublicKey)]
    if not keys or len(public) < len(keys):
        raise ValueError(
            f"{path} must contain only public Ed25519 keys; with a private key this service could sign tokens. "
            "To create it: app keys public"
        )
    return public


def _read(path: Path, command: str) -> list[Any]:
    try:
        return [OKPAlgorithm.from_jwk(jwk) for jwk in json.loads(path.read_text("utf-8"))["keys"]]
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, LookupError, TypeError, AttributeError, jwt.PyJWTError):
        raise ValueError(f"{path} is not a JWK set. To create it: {command}") from None


def generate() -> list[Ed25519PrivateKey]:
    """Generate the first keys: the current and the next one."""
    return [Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()]


def rotate(keys: Sequence[Ed25519PrivateKey]) -> list[Ed25519PrivateKey]:
    """Make the next key the current one, keep the previous one for its last tokens, and generate a new next key.

    If there is only one key, for example from another tool, it stays the current one and gets a next key.
    """
    new = Ed25519PrivateKey.generate()
    current, *others = keys
    return [others[0], new, current] if others else [current, new]


def dump_keys(keys: Sequence[Ed25519PrivateKey]) -> str:
    """Serialize keys as a private JWK set."""
    return json.dumps(
        {"keys": [{**_metadata(key), **OKPAlgorithm.to_jwk(key, as_dict=True)} for key in keys]}, indent=2
    )


def dump_public_keys(keys: Sequence[Ed25519PrivateKey]) -> str:
    """Serialize the public keys as a JWK set."""
    return json.dumps(SigningKeys.ed25519(keys).jwks(), indent=2)


def _metadata(key: Key) -> dict[str, str]:
    return {"kid": thumbprint(key), "use": "sig", "alg": "EdDSA"}


def _public_jwk(key: Key) -> dict[str, str]:
    public_key = key.public_key() if isinstance(key, Ed25519PrivateKey) else key
    jwk: dict[str, str] = OKPAlgorithm.to_jwk(public_key, as_dict=True)
    return jwk
