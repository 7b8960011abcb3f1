"""Certificates for one test: an authority, and who it vouches for. Made by openssl, good for two days."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")


@dataclass(frozen=True)
class Identity:
    """A certificate and its key, as PEM files; `both` holds the two, as Kafka wants them."""

    certificate: Path
    key: Path

    @property
    def both(self) -> Path:
        """Key and certificate in one file."""
        file = self.certificate.with_suffix(".both.pem")
        file.write_text(self.key.read_text() + self.certificate.read_text())
        return file


class Authority:
    """A certificate authority in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._own = Identity(folder / "ca.pem", folder / "ca.key")
        _openssl(self._own, "-subj", "/CN=tests", "-nodes", "-addext", "keyUsage=critical,keyCertSign")

    @property
    def file(self) -> Path:
        """What those who believe it need."""
        return self._own.certificate

    def issue(self, name: str, hosts: str = "", password: str = "") -> Identity:
        """A certificate for `name`; `hosts` as openssl writes them, `DNS:localhost,IP:127.0.0.1`."""
        identity = Identity(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        signed = ["-CA", str(self._own.certificate), "-CAkey", str(self._own.key), "-subj", f"/CN={name}"]
        names = ["-addext", f"subjectAltName={hosts}"] if hosts else []
        locked = ["-passout", f"pass:{password}"] if password else ["-nodes"]
        _openssl(identity, *signed, *names, *locked)
        return identity


def _openssl(identity: Identity, *options: str) -> None:
    files = ["-keyout", str(identity.key), "-out", str(identity.certificate)]
    command = ["openssl", "req", "-x509", "-days", "2", *CURVE, *files, *options]
    subprocess.run(command, check=True, capture_output=True, text=True)
