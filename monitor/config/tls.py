"""The files that TLS connections are made with."""

import ssl

from pydantic import SecretStr, model_validator

from monitor.config.section import Section
from monitor.config.values import ReadableFile
from monitor.tls import make_context


class TlsFiles(Section):
    """What TLS connections are made with, as PEM files: authorities to trust, and a certificate of this client."""

    ca_file: ReadableFile | None = None
    certificate_file: ReadableFile | None = None
    key_file: ReadableFile | None = None
    key_password: SecretStr | None = None

    @model_validator(mode="after")
    def _usable(self) -> "TlsFiles":
        if (self.key_file or self.key_password) and not self.certificate_file:
            raise ValueError("key_file and key_password need certificate_file; add it")
        if self.ca_file or self.certificate_file:
            self.make_context()  # a file that cannot serve is better told with its line than by the first connection
        return self

    def make_context(self) -> ssl.SSLContext:
        """Read the files, as they are now. Raises ValueError with a sentence when one cannot serve."""
        password = self.key_password.get_secret_value() if self.key_password else None
        return make_context(self.ca_file, self.certificate_file, self.key_file, password)
