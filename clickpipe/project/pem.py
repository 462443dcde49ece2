"""Certificates and keys in PEM: how files and secrets have them, and what is wrong with them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

CA, CERTIFICATE, KEY, PASSWORD = (
    "KAFKA_SSL_CA_PEM",
    "KAFKA_SSL_CERTIFICATE_PEM",
    "KAFKA_SSL_KEY_PEM",
    "KAFKA_SSL_KEY_PASSWORD",
)
_LONGEST = 4_000  # characters of a key
_MOST_ROUNDS = 2_000_000  # of hashing a password
_SEQUENCE, _INTEGER, _LONG = 0x30, 0x02, 0x80  # of DER
_DEEPEST = 16  # sequences within sequences


@dataclass(frozen=True, slots=True)
class Tls:
    """What a connection has for TLS: PEM texts, and the password of the key. '' if it has none."""

    ca: str = field(default="", repr=False)
    certificate: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    def problem(self) -> tuple[str, str] | None:
        """Return the directive that cannot be used, and why; None if all can. Shows nothing of the values."""
        if self.ca and not _certificates(self.ca):
            return CA, f"{CA} is not a certificate in PEM (-----BEGIN CERTIFICATE-----)"
        if not self.certificate:
            return None
        if not (own := _certificates(self.certificate)):
            return CERTIFICATE, f"{CERTIFICATE} is not a certificate in PEM (-----BEGIN CERTIFICATE-----)"
        if not self.key:
            return None
        public, why = _public_of(self.key, self.password)
        if public is None:
            return KEY, why
        return None if public == own[0] else (KEY, f"{KEY} is not the key of {CERTIFICATE}'s first certificate")


def pem_text(text: str) -> str:
    r"""Return PEM as it is in files: a secret may have `\n` for line breaks, and a datafile indents."""
    lines = text.replace("\\n", "\n").splitlines()
    return "".join(f"{line.strip()}\n" for line in lines if line.strip())


def _certificates(pem: str) -> list[bytes]:
    """Return the public keys of the certificates, or [] if one of them cannot be read."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        return [_raw(found.public_key()) for found in x509.load_pem_x509_certificates(pem.encode())]
    except (ValueError, UnsupportedAlgorithm):
        return []


def _public_of(pem: str, password: str) -> tuple[bytes | None, str]:
    """Return the public key of a private one; or None, and why it cannot be read."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if len(pem) > _LONGEST:
        return None, f"{KEY} is longer than a key of 4,096 bits"
    if not _decrypts_soon(pem):
        return None, f"{KEY} is encrypted with more than {_MOST_ROUNDS:,} rounds"
    for secret in (password.encode() or None, None):
        try:
            # To find out whether the numbers are primes takes long, and stops all threads meanwhile. No matter:
            # nothing is computed with them here.
            found = load_pem_private_key(pem.encode(), secret, unsafe_skip_rsa_key_validation=True)
            return _raw(found.public_key()), ""
        except TypeError:  # a password for a key that needs none, or none for one that does
            continue
        except (ValueError, UnsupportedAlgorithm):
            return None, f"{KEY} is not a private key in PEM" + (f", or {PASSWORD} is wrong" if password else "")
    return None, f"{KEY} is encrypted: add {PASSWORD}"


def _decrypts_soon(pem: str) -> bool:
    """Return whether the password of an encrypted key is hashed a reasonable number of times."""
    for block in pem.split("-----BEGIN ")[1:]:
        lines = block.partition("-----END")[0].splitlines()[1:]
        with suppress(ValueError):  # cannot be read anyway
            der = base64.b64decode("".join(lines))
            if block.startswith("ENCRYPTED") and any(n > _MOST_ROUNDS for n in _integers(der, 0, len(der))):
                return False
    return True


def _integers(der: bytes, at: int, end: int, depth: int = 0) -> Iterator[int]:
    """Yield the integers in DER, with those in sequences."""
    while at + 2 <= end and depth < _DEEPEST:
        tag, length = der[at], der[at + 1]
        at += 2
        if length & _LONG:
            width = length & ~_LONG
            length, at = int.from_bytes(der[at : at + width]), at + width
        if tag == _SEQUENCE:
            yield from _integers(der, at, min(at + length, end), depth + 1)
        elif tag == _INTEGER:
            yield int.from_bytes(der[at : at + length])
        at += length


def _raw(public: object) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    found: bytes = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return found
