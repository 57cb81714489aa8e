"""DICOM TLS with certificates on both sides, after PS3.15 B.12: BCP 195 (RFC 8996, RFC 9325), TLS 1.2 at least, 1.3 where both can."""

from __future__ import annotations

import ssl

from radiology.errors import SightlineError
from radiology.settings import TlsSettings

_CIPHERS_OF_1_2 = "ECDHE+AESGCM:ECDHE+CHACHA20"


def accepting(settings: TlsSettings) -> ssl.SSLContext | None:
    """Return what an acceptor needs, None without TLS: who calls must show a certificate of our authority.

    Raises:
        SightlineError: a file is missing, or is not what it should be.
    """
    return _context(settings, ssl.PROTOCOL_TLS_SERVER)


def calling(settings: TlsSettings) -> ssl.SSLContext | None:
    """Return what a caller needs, None without TLS: who is called must show one too, and for the host name or address that was called.

    Raises:
        SightlineError: as for :func:`accepting`.
    """
    return _context(settings, ssl.PROTOCOL_TLS_CLIENT)


def _context(settings: TlsSettings, side: int) -> ssl.SSLContext | None:
    if not (settings.tls_certificate and settings.tls_key and settings.tls_authority):
        return None
    context = ssl.SSLContext(side)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS_OF_1_2)
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_verify_locations(settings.tls_authority)
    except OSError as error:
        raise SightlineError(f"The TLS authority {settings.tls_authority} cannot be used ({error}); give a PEM file.") from error
    try:
        # The password is never asked for at a terminal: a service has none.
        context.load_cert_chain(settings.tls_certificate, settings.tls_key, password="")
    except (OSError, ValueError) as error:
        raise SightlineError(
            f"The TLS certificate {settings.tls_certificate} and key {settings.tls_key} cannot be used ({error}); "
            "give PEM files that belong together, the key not encrypted."
        ) from error
    return context
