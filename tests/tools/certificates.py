"""Certificates for tests, made by openssl: an authority of our own, and what it signs."""

import ssl
import subprocess
from pathlib import Path

from tests.conftest import require_program


class Authority:
    """A certificate authority whose files lie in ``folder``; ``file`` is what to believe."""

    def __init__(self, folder: Path) -> None:
        self._openssl = require_program("openssl")
        self.folder = folder
        self.file = folder / "ca.pem"
        self._key = folder / "ca.key"
        self._run("req", "-x509", *_NEW_KEY, "-keyout", self._key, "-out", self.file, "-subj", "/CN=test CA")

    def issue(self, name: str, days: int = 2) -> tuple[Path, Path]:
        """Certificate and key for the host ``name``; with negative ``days`` it has expired."""
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        request, extra = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        self._run("req", *_NEW_KEY, "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        extra.write_text(f"subjectAltName=DNS:{name}\n")
        self._run(
            *("x509", "-req", "-in", request, "-CA", self.file, "-CAkey", self._key, "-CAcreateserial"),
            *("-out", certificate, "-days", str(days), "-extfile", extra),
        )
        return certificate, key

    def server(self, name: str) -> ssl.SSLContext:
        """A server's context with a certificate for ``name``, and the authority's own after it."""
        certificate, key = self.issue(name)
        chain = self.folder / f"{name}.chain.pem"
        chain.write_bytes(certificate.read_bytes() + self.file.read_bytes())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, key)
        return context

    def _run(self, *arguments: object) -> None:
        command = [self._openssl, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
