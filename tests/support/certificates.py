"""Certificates for a test, made on the spot by OpenSSL's own command."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple


class Certificates(NamedTuple):
    """PEM files: an authority, and a server and a caller whose certificates it has signed."""

    authority: Path
    server: Path
    server_key: Path
    caller: Path
    caller_key: Path


def make_certificates(folder: Path) -> Certificates:
    """Make keys and certificates that are good for a day on 127.0.0.1."""
    authority = _sign(folder, "authority", "/CN=Test authority", "basicConstraints=critical,CA:TRUE")
    server = _sign(folder, "server", "/CN=localhost", "subjectAltName=IP:127.0.0.1,DNS:localhost", authority)
    caller = _sign(folder, "caller", "/CN=caller", "extendedKeyUsage=clientAuth", authority)
    return Certificates(authority[0], *server, *caller)


def _sign(
    folder: Path, name: str, subject: str, extension: str, authority: tuple[Path, Path] | None = None
) -> tuple[Path, Path]:
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    signed_by = ["-CA", str(authority[0]), "-CAkey", str(authority[1])] if authority else []
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(
        [*command, *files, "-days", "1", "-subj", subject, "-addext", extension, *signed_by],
        check=True,
        capture_output=True,
        timeout=30,
    )
    return certificate, key
