"""Certificate for 127.0.0.1, for receivers with TLS."""

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

_REQUEST = ("openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
_SUBJECT = ("-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")


@dataclass(frozen=True)
class Certificate:
    """PEM files of a self-signed certificate."""

    certificate: Path
    key: Path

    def client_context(self) -> ssl.SSLContext:
        """Return a context that trusts this certificate."""
        return ssl.create_default_context(cafile=str(self.certificate))


def make_certificate(place: Path) -> Certificate:
    """Make a certificate in the directory `place`."""
    made = Certificate(place / "certificate.pem", place / "key.pem")
    files = ("-keyout", str(made.key), "-out", str(made.certificate))
    subprocess.run((*_REQUEST, *_SUBJECT, *files), check=True, capture_output=True)
    return made
