"""TLS of both listeners: one certificate, and the authority of the callers' certificates where these are wanted."""

from __future__ import annotations

import datetime as dt
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lepton.core import ErrorCode, SecurityError, UsageError, printable
from lepton.core.lazy import LazyModule
from lepton.store import open_read

if TYPE_CHECKING:
    from cryptography import x509
else:
    x509 = LazyModule("cryptography.x509")  # servers without a certificate start without it

__all__ = ["Tls"]

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"  # of TLS 1.2; those of 1.3 are all good
_LARGEST = 2**20


@dataclass(frozen=True, slots=True)
class Tls:
    """Certificate and key of a server, in PEM. Nothing below TLS 1.2 is spoken.

    Attributes:
        certificate: file with the server's certificate, and those between it and its authority.
        key: file with its private key, not encrypted.
        client_ca: file with the certificates of authorities; callers must show a certificate of one of them.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None

    @classmethod
    def of(cls, certificate: Path | None, key: Path | None, client_ca: Path | None = None) -> Tls | None:
        """What files make, of which some may not be given; None speaks plainly.

        Raises:
            UsageError: some of them without those that they need.
        """
        if certificate is not None and key is not None:
            return cls(certificate, key, client_ca)
        if certificate is None and key is None and client_ca is None:
            return None
        raise UsageError(
            ErrorCode.BAD_SETTING, "got some files of TLS alone", wanted="--tls-cert and --tls-key, or none of them"
        )

    @classmethod
    def from_dict(cls, record: Mapping[str, str | None]) -> Tls:
        """What `to_dict` gave."""
        return cls(**{name: Path(path) for name, path in record.items() if path is not None})

    def to_dict(self) -> dict[str, str | None]:
        """Paths by name, for JSON."""
        client_ca = None if self.client_ca is None else str(self.client_ca)
        return {"certificate": str(self.certificate), "key": str(self.key), "client_ca": client_ca}

    def context(self, protocol: str = "http/1.1") -> ssl.SSLContext:
        """What connections take.

        Args:
            protocol: that is offered in the handshake.

        Raises:
            DataError: NOT_FOUND, a file that is not there.
            SecurityError: BAD_KEY, a certificate that is none or not valid now, a key that is not its own.
        """
        self._check()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        context.set_ciphers(_CIPHERS)
        context.set_alpn_protocols([protocol])
        try:
            context.load_cert_chain(self.certificate, self.key, password=_no_password)
        except (ssl.SSLError, OSError, ValueError):
            raise SecurityError(
                ErrorCode.BAD_KEY,
                f"the key {printable(self.key.name)} cannot be used with the certificate"
                f" {printable(self.certificate.name)}",
                wanted="the certificate's own key in PEM, not encrypted",
            ) from None
        if self.client_ca is not None:
            context.load_verify_locations(self.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _check(self) -> None:
        """Read every certificate, for what OpenSSL says nothing of, or what nobody understands."""
        _read(self.key)
        now = dt.datetime.now(dt.UTC)
        for path in (self.certificate, self.client_ca):
            if path is None:
                continue
            data = _read(path)
            try:
                certificate = x509.load_pem_x509_certificates(data)[0]
            except ValueError:
                raise SecurityError(
                    ErrorCode.BAD_KEY,
                    f"the file {printable(path.name)} holds no certificate",
                    wanted="certificates in PEM, from -----BEGIN CERTIFICATE----- on",
                ) from None
            if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
                raise SecurityError(
                    ErrorCode.BAD_KEY,
                    f"the certificate {printable(path.name)} is valid from {certificate.not_valid_before_utc:%Y-%m-%d}"
                    f" to {certificate.not_valid_after_utc:%Y-%m-%d}",
                    wanted="one that is valid today",
                )


def _read(path: Path) -> bytes:
    with open_read(path) as file:
        return file.read(_LARGEST)


def _no_password() -> str:
    """Refuse an encrypted key: OpenSSL would ask for its password on the terminal."""
    raise ValueError("the key is encrypted")
