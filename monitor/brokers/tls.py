"""TLS as brokers need it: connections made from the configured files, and what went wrong with one in plain words."""

import re
import ssl

from monitor.config import TlsFiles
from monitor.errors import TlsFailed

# Codes of OpenSSL's verification (x509_vfy.h).
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN_AUTHORITY = frozenset({2, 18, 19, 20, 21})
_OTHER_NAME = frozenset({62, 64})

_BY_ALERT = {
    "CERTIFICATE_EXPIRED": "the certificate of this client has expired",
    "UNKNOWN_CA": "it does not trust the authority that signed the certificate of this client",
    "CERTIFICATE_REVOKED": "the certificate of this client is revoked",
    "CERTIFICATE_REQUIRED": "it asks for a client certificate",
}
"""What the other side tells by an alert (RFC 8446, section 6.2), of which the library's reason has the name."""

_REFUSALS = re.compile(
    r"ALERT_(BAD_CERTIFICATE|CERTIFICATE_UNKNOWN|UNSUPPORTED_CERTIFICATE|ACCESS_DENIED|HANDSHAKE_FAILURE)"
)
_SHOW_ONE = "set certificate_file and key_file"
_REMEDIES = {
    "CERTIFICATE_EXPIRED": "renew certificate_file",
    "UNKNOWN_CA": "have the broker trust it, or name a certificate that it trusts in certificate_file",
    "CERTIFICATE_REVOKED": "name another one in certificate_file",
    "CERTIFICATE_REQUIRED": _SHOW_ONE,
}
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNEXPECTED_EOF_WHILE_READING", "HTTP_REQUEST"})


def open_context(files: TlsFiles, target: str) -> ssl.SSLContext:
    """Read the configured files as they are now. Raises TlsFailed when one cannot serve any more."""
    try:
        return files.make_context()
    except ValueError as error:
        raise TlsFailed(str(error), target=target) from error


def tell_failure(error: ssl.SSLError, target: str, *, certified: bool, host: str = "") -> TlsFailed:
    """Say why there is no TLS connection; `certified` says whether this client has shown a certificate.

    `host` is the name that the certificate should have.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return _tell_verification(error, target, host)
    return tell_reason(error.reason or "", target, certified=certified)


def tell_reason(reason: str, target: str, *, certified: bool) -> TlsFailed:
    """Say the same by the name that OpenSSL has for the reason, where nothing else of the error is left."""
    for alert, told in _BY_ALERT.items():
        if reason.endswith(alert):
            remedy = _REMEDIES[alert] if certified else _SHOW_ONE
            return TlsFailed(f"the broker refuses the connection: {told}", target=target, remedy=remedy)
    if _REFUSALS.search(reason):
        return _tell_refusal(reason, target, certified=certified)
    if reason in _NO_TLS:
        problem = f"there is no TLS connection: what answers does not speak it ({reason})"
        return TlsFailed(problem, target=target, remedy="check that this port speaks TLS")
    remedy = "check that this port speaks TLS and which certificates it asks for"
    return TlsFailed(f"there is no TLS connection ({reason or 'the handshake failed'})", target=target, remedy=remedy)


def _tell_verification(error: ssl.SSLCertVerificationError, target: str, host: str) -> TlsFailed:
    code, said = error.verify_code, error.verify_message
    if code in (_EXPIRED, _NOT_YET_VALID):
        told = "has expired" if code == _EXPIRED else "is not valid yet"
        return TlsFailed(f"the broker's certificate {told}", target=target, remedy="renew it at the broker")
    if code in _UNKNOWN_AUTHORITY:
        problem = f"the broker's certificate is signed by an authority that is not trusted here ({said})"
        return TlsFailed(problem, target=target, remedy="name that authority's certificate in ca_file")
    if code in _OTHER_NAME:
        problem = f"the broker's certificate is for another name than {host or 'the configured one'}"
        remedy = "connect by a name that the certificate has, or have it made for this one too"
        return TlsFailed(problem, target=target, remedy=remedy)
    return TlsFailed(f"the broker's certificate does not verify ({said})", target=target, remedy="check ca_file")


def _tell_refusal(reason: str, target: str, *, certified: bool) -> TlsFailed:
    alert = reason.rpartition("ALERT_")[2].lower().replace("_", " ")
    if certified:
        problem = f"the broker refuses the certificate of this client ({alert})"
        remedy = "see that certificate_file has not expired, and is signed by an authority that the broker trusts"
        return TlsFailed(problem, target=target, remedy=remedy)
    problem = f"the broker refuses the connection ({alert}): it probably asks for a client certificate"
    return TlsFailed(problem, target=target, remedy=_SHOW_ONE)
