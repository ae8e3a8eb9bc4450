"""Certificates that the tests make themselves: an authority, and what it signs."""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = dt.timedelta(days=1)


@dataclass
class Pair:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path
    secret: ec.EllipticCurvePrivateKey
    record: x509.Certificate


def make(folder: Path, name: str, by: Pair | None = None, *, days: int = 1, password: bytes | None = None) -> Pair:
    """An authority, or, with `by`, what that signs for 127.0.0.1 and localhost; with `days` below 0 it is over."""
    secret = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    ends = dt.datetime.now(dt.UTC) + days * DAY
    key_id = x509.SubjectKeyIdentifier.from_public_key(secret.public_key())
    signer = secret if by is None else by.secret
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if by is None else by.record.subject)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(ends, dt.datetime.now(dt.UTC)) - 2 * DAY)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
        .add_extension(key_id, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if by is None:
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = builder.add_extension(usage, critical=True)
    else:
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage(both), critical=False)
    record = builder.sign(signer, hashes.SHA256())
    pem = serialization.Encoding.PEM
    form = serialization.PrivateFormat.PKCS8
    guarded = serialization.NoEncryption() if password is None else serialization.BestAvailableEncryption(password)
    pair = Pair(folder / f"{name}.pem", folder / f"{name}-key.pem", secret, record)
    pair.certificate.write_bytes(record.public_bytes(pem))
    pair.key.write_bytes(secret.private_bytes(pem, form, guarded))
    return pair
