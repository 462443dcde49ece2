"""Keys that would take long to read: who reads them holds all threads up meanwhile."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from clickpipe.project import pem

OIDS = {
    "PBES2": bytes.fromhex("06092a864886f70d01050d"),
    "PBKDF2": bytes.fromhex("06092a864886f70d01050c"),
    "AES": bytes.fromhex("060960864801650304012a"),
}


def sequence(*parts: bytes, tag: int = 0x30) -> bytes:
    body = b"".join(parts)
    length = bytes([len(body)]) if len(body) < 128 else b"\x82" + len(body).to_bytes(2)
    return bytes([tag]) + length + body


def encrypted(rounds: int) -> str:
    """Return a key whose password is hashed that often, as it says."""
    number = sequence(rounds.to_bytes(rounds.bit_length() // 8 + 1), tag=2)
    hashing = sequence(OIDS["PBKDF2"], sequence(sequence(b"12345678", tag=4), number))
    cipher = sequence(OIDS["AES"], sequence(b"0" * 16, tag=4))
    der = sequence(sequence(OIDS["PBES2"], sequence(hashing, cipher)), sequence(b"0" * 1216, tag=4))
    return block("ENCRYPTED PRIVATE KEY", der)


def block(kind: str, der: bytes) -> str:
    return f"-----BEGIN {kind}-----\n{base64.encodebytes(der).decode()}-----END {kind}-----\n"


@pytest.mark.parametrize("before", ["", block("EC PARAMETERS", b"1"), "a text\n"])
@pytest.mark.parametrize("rounds", [2_000_001, 1 << 40])
def test_a_password_that_takes_long_is_not_tried(before: str, rounds: int) -> None:
    assert pem._public_of(before + encrypted(rounds), "password")[1].endswith("with more than 2,000,000 rounds")


def test_a_password_of_few_rounds_is_tried() -> None:
    assert pem._public_of(encrypted(2_048), "password")[1].endswith("KAFKA_SSL_KEY_PASSWORD is wrong")


@pytest.mark.parametrize("der", [b"", b"0", b"\x30\x80" * 500, b"\x30\x84\xff\xff\xff\xff", b"\x02\x88", b"\x30\xff"])
def test_what_is_no_key_says_so(der: bytes) -> None:
    assert "is not a private key in PEM" in pem._public_of(block("ENCRYPTED PRIVATE KEY", der), "password")[1]


def test_a_long_key_is_not_read() -> None:
    """Two Mersenne primes are a key that anyone can make; to check them takes ten seconds, and longer ones minutes."""
    key = block("RSA PRIVATE KEY", ((1 << 24_000) - 1).to_bytes(3_000))
    assert len(key) > 4_000
    assert pem._public_of(key, "")[1].endswith("is longer than a key of 4,096 bits")


@pytest.mark.parametrize("bits", [2048, 4096])
@pytest.mark.parametrize("format_", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_keys_of_usual_lengths_are_read(bits: int, format_: PrivateFormat) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    assert pem._public_of(key.private_bytes(Encoding.PEM, format_, NoEncryption()).decode(), "")[0] is not None


def test_keys_of_curves_are_read() -> None:
    key = ec.generate_private_key(ec.SECP521R1())
    assert pem._public_of(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(), "")[0]
