"""What TLS connections are made with: the authorities to trust, and a certificate to show.

Used when the configuration is read, so that a file which cannot serve is told with its line, and again for each
connection, since files are renewed while the monitor runs.
"""

import ssl
from pathlib import Path


def make_context(
    ca_file: str | None = None,
    certificate_file: str | None = None,
    key_file: str | None = None,
    key_password: str | None = None,
) -> ssl.SSLContext:
    """Return what connections are made with: authorities from a file or else the system's, a certificate if one is set.

    All files are PEM; without `key_file` the key stands in `certificate_file`. Raises ValueError, whose text is a
    sentence for people, when a file cannot serve.
    """
    context = _trusting(ca_file)
    if certificate_file is not None:
        _show(context, certificate_file, key_file or certificate_file, key_password)
    return context


def _trusting(ca_file: str | None) -> ssl.SSLContext:
    if ca_file is None:
        return ssl.create_default_context()
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise ValueError(f"{_why(error, ca_file, 'certificates')}; name a PEM file of authorities") from error


def _show(context: ssl.SSLContext, certificate_file: str, key_file: str, key_password: str | None) -> None:
    asked = False

    def tell_password() -> str:
        # Without a function the library would ask for it at the terminal, and wait.
        nonlocal asked
        asked = True
        return key_password or ""

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=certificate_file)
    except OSError as error:
        raise ValueError(f"{_why(error, certificate_file, 'certificate')}; name a PEM file") from error
    try:
        context.load_cert_chain(certificate_file, key_file, tell_password)
    except OSError as error:
        raise ValueError(_why_no_key(error, key_file, asked=asked, password=bool(key_password))) from error


def _why_no_key(error: OSError, key_file: str, *, asked: bool, password: bool) -> str:
    if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
        return f"the key in {key_file} is not that of the certificate; name its own"
    if asked and not password:
        return f"the key in {key_file} has a password; set key_password"
    if asked:
        return f"key_password does not open the key in {key_file}; correct it"
    return f"{_why(error, key_file, 'key')}; name the key of the certificate in key_file"


def _why(error: OSError, file: str, what: str) -> str:
    if isinstance(error, ssl.SSLError) or Path(file).is_dir():
        return f"the file {file} holds no {what}"
    return f"the file {file} cannot be read ({error.strerror})"
