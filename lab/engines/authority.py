"""The run's own certificate authority: made in memory when first asked, gone with the run.

    <folder>/ca.pem     the authority, to trust
    <folder>/cert.pem   the service's certificate: its names and addresses
    <folder>/key.pem    the key to it, unencrypted

Keys are ECDSA on P-256, as public authorities hand out today; extensions are what RFC 5280 asks
of each, because clients from Python 3.13 on look at them (ssl.VERIFY_X509_STRICT).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from ipaddress import ip_address
from typing import TYPE_CHECKING

from lab.engines.certified import Flaw
from lab.plan import Instance

if TYPE_CHECKING:  # cryptography costs 0.1 s at start, and few runs need it
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

CA, CERT, KEY = "ca.pem", "cert.pem", "key.pem"
LIFETIME_S = 30 * 86_400.0
_EARLIER = timedelta(days=1)
"""Valid since then, so that a clock that is a little behind does not matter."""
_ELSEWHERE = "somebody-else.invalid"
"""A name that nobody has (RFC 2606)."""


@dataclass(frozen=True, slots=True)
class _Signer:
    """An authority: its key, and its certificate, which it signed itself."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


class Authority:
    """Gives every instance its files, and remembers which pair it came up with."""

    def __init__(self) -> None:
        self._own: dict[str, Mapping[str, bytes]] = {}

    @property
    def pem(self) -> bytes:
        """Its certificate, which clients trust."""
        return _pem(self._signer.certificate)

    def files(self, instance: Instance, addresses: Sequence[str]) -> dict[str, bytes]:
        """All that an instance gets when it comes up, by path in the container; often nothing."""
        service, found = instance.service, dict[str, bytes]()
        for folder in (service.certificates, service.trusts):
            if folder:
                found[f"{folder}/{CA}"] = self.pem
        if service.certificates:
            found |= self.pair(instance, addresses)
        return found

    def pair(
        self,
        instance: Instance,
        addresses: Sequence[str],
        flaw: Flaw | None = None,
        lifetime_s: float | None = None,
    ) -> dict[str, bytes]:
        """Certificate and key by path; with neither flaw nor lifetime always the same ones.

        A lifetime is rounded up to whole seconds, which is what a certificate can say.
        """
        if flaw is None and lifetime_s is None:
            if instance.name not in self._own:
                self._own[instance.name] = self._made(instance, addresses, None, LIFETIME_S)
            return dict(self._own[instance.name])
        return self._made(instance, addresses, flaw, lifetime_s or LIFETIME_S)

    def is_own(self, instance: Instance, served: bytes) -> bool:
        """Whether this is the certificate (DER) that an instance came up with."""
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import Encoding

        own = self._own[instance.name][f"{instance.service.certificates}/{CERT}"]
        return x509.load_pem_x509_certificate(own).public_bytes(Encoding.DER) == served

    @cached_property
    def _signer(self) -> _Signer:
        return _signer("Chaos Lab, this run's authority")

    def _made(
        self, instance: Instance, addresses: Sequence[str], flaw: Flaw | None, lifetime_s: float
    ) -> dict[str, bytes]:
        signer = _signer("Somebody else's authority") if flaw == "unknown_ca" else self._signer
        service = instance.service
        names = [service.name, instance.host, "localhost"]
        if flaw == "wrong_name":
            names, addresses = [_ELSEWHERE], []
        now = datetime.now(UTC)
        end = now + timedelta(seconds=lifetime_s)
        if flaw == "expired":
            end = now - timedelta(seconds=1)
        end_s = math.floor(end.timestamp()) if flaw == "expired" else math.ceil(end.timestamp())
        certificate, key = _issued(signer, names, addresses, datetime.fromtimestamp(end_s, UTC))
        folder = service.certificates
        return {f"{folder}/{CERT}": certificate, f"{folder}/{KEY}": key}


def left_s(served: bytes) -> float:
    """How long a certificate (DER) is still valid, in seconds; negative once it is not."""
    from cryptography import x509

    end = x509.load_der_x509_certificate(served).not_valid_after_utc
    return (end - datetime.now(UTC)).total_seconds()


def _signer(name: str) -> _Signer:
    """A new authority. Those of two names have two keys, so clients look for them in vain."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(name)
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _Signer(key, certificate)


def _issued(
    signer: _Signer, names: Sequence[str], addresses: Sequence[str], end: datetime
) -> tuple[bytes, bytes]:
    """A server's certificate and its key, in PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    key = ec.generate_private_key(ec.SECP256R1())
    known = [x509.DNSName(name) for name in names]
    reached = [x509.IPAddress(ip_address(text)) for text in dict.fromkeys(addresses)]
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    of_signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key())
    certificate = (
        x509.CertificateBuilder(
            signer.certificate.subject,
            _subject(names[0]),
            key.public_key(),
            x509.random_serial_number(),
        )
        .not_valid_before(min(datetime.now(UTC), end) - _EARLIER)
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([*known, *reached]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(of_signer, critical=False)
        .sign(signer.key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return _pem(certificate), secret


def _subject(name: str) -> x509.Name:
    from cryptography import x509

    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name[:64])])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM)
