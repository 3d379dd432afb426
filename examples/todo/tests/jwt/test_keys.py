"""Signing keys: key files, public keys and rotation."""

import json
from pathlib import Path
from traceback import format_exception

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from app.jwt.keys import (
    NoSigningKey,
    SigningKeys,
    dump_keys,
    dump_public_keys,
    generate,
    read_keys,
    read_public_keys,
    rotate,
    thumbprint,
)
from app.jwt.settings import new_secret_key


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def key_ids(keys: list[Ed25519PrivateKey]) -> list[str]:
    return [thumbprint(key) for key in keys]


def test_key_id_is_the_rfc_7638_thumbprint() -> None:
    # RFC 8037, appendices A.1 and A.3.
    key = OKPAlgorithm.from_jwk(
        {
            "kty": "OKP",
            "crv": "Ed25519",
            "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        }
    )
    assert isinstance(key, Ed25519PrivateKey)
    assert thumbprint(key) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_keys_can_be_written_and_read(file: Path) -> None:
    keys = generate()
    file.write_text(dump_keys(keys), "utf-8")

    assert key_ids(read_keys(file)) == key_ids(keys)


def test_published_keys_have_no_private_part() -> None:
    keys = generate()
    published = SigningKeys.ed25519(keys).jwks()["keys"]

    assert [key["kid"] for key in published] == key_ids(keys)
    for key in published:
        assert key.keys() == {"kid", "use", "alg", "kty", "crv", "x"}
        assert (key["use"], key["alg"], key["kty"], key["crv"]) == ("sig", "EdDSA", "OKP", "Ed25519")


def test_secret_is_not_published() -> None:
    assert SigningKeys.hs256(new_secret_key()).jwks() == {"keys": []}


def test_repr_does_not_show_keys() -> None:
    secret, [key, _] = new_secret_key(), generate()
    private = json.loads(dump_keys([key]))["keys"][0]["d"]

    assert secret not in repr(SigningKeys.hs256(secret)) + str(SigningKeys.hs256(secret))
    assert private not in repr(SigningKeys.ed25519([key])) + repr(key)


def test_rotation_publishes_keys_before_and_after_they_sign() -> None:
    first = generate()
    second = rotate(first)
    third = rotate(second)
    [signing, following, before] = key_ids(second)

    assert (signing, before) == (key_ids(first)[1], key_ids(first)[0])
    assert following not in key_ids(first)
    assert key_ids(third)[0] == following
    assert key_ids(third)[2] == signing
    assert before not in key_ids(third)
    assert len(third) == 3


def test_rotation_of_a_single_key_adds_a_next_one() -> None:
    [key, _] = generate()
    once = rotate([key])

    assert key_ids(once)[0] == thumbprint(key)
    assert key_ids(rotate(once))[::2] == [key_ids(once)[1], thumbprint(key)]


@pytest.mark.parametrize(
    "content",
    [
        *(
            "",
            "{",
            "[]",
            "null",
            "{}",
            '{"keys": {}}',
            '{"keys": 1}',
            '{"keys": [1]}',
            '{"keys": []}',
            '{"keys": [{}]}',
        ),
        '{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}',
        '{"keys": [{"kty": "OKP", "crv": "Ed448", "x": "AAAA", "d": "BBBB"}]}',
        '{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": 5, "d": "AAAA"}]}',
        '{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}',  # public
        '{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "d": "AAAA"}]}',
        "\xff",
    ],
)
def test_invalid_key_file_is_explained_without_its_content(file: Path, content: str) -> None:
    file.write_text(content, "latin-1")

    with pytest.raises(ValueError, match=r"To create it: app keys generate$") as caught:
        read_keys(file)
    assert str(file) in str(caught.value)
    assert "AAAA" not in "".join(format_exception(caught.value))


def test_missing_key_file_is_explained(file: Path) -> None:
    with pytest.raises(ValueError, match=f"{file} cannot be read: No such file or directory"):
        read_keys(file)


def test_public_keys_can_only_verify(file: Path) -> None:
    keys = generate()
    file.write_text(dump_public_keys(keys), "utf-8")
    checking, signing = SigningKeys.ed25519(read_public_keys(file)), SigningKeys.ed25519(keys)

    assert checking.verify(signing.sign({"sub": "ada"}, "jwt"), "jwt") == {"sub": "ada"}
    assert checking.jwks() == signing.jwks()
    assert '"d"' not in file.read_text("utf-8")
    with pytest.raises(NoSigningKey, match="JWT_KEYS_FILE"):
        checking.sign({"sub": "ada"}, "jwt")


def test_outdated_public_keys_verify_tokens_after_a_rotation(file: Path) -> None:
    keys = generate()
    file.write_text(dump_public_keys(keys), "utf-8")
    before = SigningKeys.ed25519(read_public_keys(file))

    assert before.verify(SigningKeys.ed25519(rotate(keys)).sign({"sub": "ada"}, "jwt"), "jwt") == {"sub": "ada"}


def test_private_keys_are_rejected_as_public_keys(file: Path) -> None:
    file.write_text(dump_keys(generate()), "utf-8")
    with pytest.raises(ValueError, match="must contain only public Ed25519 keys; with a private key this service"):
        read_public_keys(file)


@pytest.mark.parametrize("text", ["", "[]", '{"keys": [{}]}'])
def test_invalid_public_key_file_is_rejected(file: Path, text: str) -> None:
    file.write_text(text, "utf-8")
    with pytest.raises(ValueError, match="To create it: app keys public"):
        read_public_keys(file)
