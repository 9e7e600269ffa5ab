"""The certificate of the HTTP door."""

import ssl
from pathlib import Path


class CertificateError(Exception):
    """The certificate or its key can't be used; one line that names the setting and the mend."""


def load_certificate(cert: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """TLS with a certificate and its key; None without both.

    Raises:
        CertificateError: one of them is missing or can't be read, or they don't fit each other.
    """
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        missing, given = ("KEY", "CERT") if key is None else ("CERT", "KEY")
        raise CertificateError(
            f"MONITOR_TLS_{missing}: is not set, and MONITOR_TLS_{given} is; set both, or none"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    read_into(context, cert, key)
    return context


def read_into(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    """Serve new connections with what the files hold now.

    Raises:
        CertificateError: as above; connections are served as before.
    """
    _check_readable("MONITOR_TLS_CERT", cert)
    _check_readable("MONITOR_TLS_KEY", key)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password="")
    except ssl.SSLError as error:
        raise CertificateError(_explain(error, cert, key)) from error
    # With a password, if a wrong one: OpenSSL would ask the terminal for one that is missing.
    context.load_cert_chain(cert, key, password="")


def _check_readable(setting: str, path: Path) -> None:
    try:
        path.read_bytes()
    except OSError as error:
        raise CertificateError(
            f"{setting}: {path} cannot be read ({error.strerror}); mend its path or mode"
        ) from error


def _explain(error: ssl.SSLError, cert: Path, key: Path) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return (
            f"MONITOR_TLS_KEY: {key} is not the key of {cert}; name the one that the certificate was made for"
        )
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=cert)
    except ssl.SSLError:
        return (
            f"MONITOR_TLS_CERT: {cert} holds no certificate in PEM; name the file with the certificate chain"
        )
    return f"MONITOR_TLS_KEY: {key} holds no private key in PEM without a passphrase; name one that does"
