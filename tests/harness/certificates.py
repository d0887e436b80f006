"""Certificates of a test's own: an authority and what it signs, made at run time, valid for a day."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_DAY = timedelta(days=1)


class Authority:
    """A certificate authority. `certificate_file` is what those have to trust who shall believe it."""

    def __init__(self, directory: Path, name: str = "authority") -> None:
        self._directory = directory
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        basic = x509.BasicConstraints(ca=True, path_length=0)
        certificate = self._builder(self._name, self._key).add_extension(basic, critical=True)
        self.certificate_file = directory / f"{name}.pem"
        self.certificate_file.write_bytes(self._signed(certificate).public_bytes(Encoding.PEM))

    def issue(self, name: str, *other_names: str) -> tuple[Path, Path]:
        """The files of a certificate for host names and IP addresses, and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = x509.SubjectAlternativeName([_general_name(each) for each in (name, *other_names)])
        certificate = self._signed(self._builder(subject, key).add_extension(names, critical=False))
        certificate_file, key_file = self._directory / f"{name}.crt", self._directory / f"{name}.key"
        certificate_file.write_bytes(certificate.public_bytes(Encoding.PEM))
        key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate_file, key_file

    def trusted(self) -> ssl.SSLContext:
        """A client's context that believes this authority and no other."""
        return ssl.create_default_context(cafile=str(self.certificate_file))

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + _DAY)
        )

    def _signed(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        return builder.sign(self._key, hashes.SHA256())


@dataclass(frozen=True)
class Certificates:
    """PEM files: the authority's certificate, and a server's certificate and key."""

    authority: Path
    certificate: Path
    key: Path


def make_certificates(directory: Path, address: str = "127.0.0.1", name: str = "localhost") -> Certificates:
    """Makes an authority and a server certificate for an address and a name."""
    authority = Authority(directory)
    certificate, key = authority.issue(name, address)
    return Certificates(authority.certificate_file, certificate, key)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
