"""An authority that signs certificates for servers and clients of tests."""

from __future__ import annotations

import datetime as dt
import ipaddress
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID


class Authority:
    """Signs certificates for 127.0.0.1 and for names."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
        self.pem = self._sign("tests", self._key, is_authority=True)

    def issue(self, name: str, password: str = "") -> tuple[str, str]:
        """Return a certificate and its key, in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        way = BestAvailableEncryption(password.encode()) if password else NoEncryption()
        text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, way).decode()
        return self._sign(name, key, is_authority=False), text

    def _sign(self, name: str, key: ec.EllipticCurvePrivateKey, *, is_authority: bool) -> str:
        now = dt.datetime.now(dt.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        return made.public_bytes(Encoding.PEM).decode()


@cache
def authority() -> Authority:
    """The authority of this run."""
    return Authority()
