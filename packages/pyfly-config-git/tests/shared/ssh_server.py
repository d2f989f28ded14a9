"""An SSH server for tests."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path


class Sshd:
    """An SSH server of this user on a loopback port."""

    def __init__(self, program: str, directory: Path, port: int) -> None:
        self.directory, self.port = directory, port
        for name in ("host", "other", "user"):
            make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)]
            subprocess.run(make, check=True)
        shutil.copy(directory / "user.pub", directory / "authorized")
        self.known_hosts = directory / "known_hosts"
        self.know("host")
        settings = {
            "ListenAddress": f"127.0.0.1:{port}",
            "HostKey": directory / "host",
            "AuthorizedKeysFile": directory / "authorized",
            "PidFile": "none",
            "StrictModes": "no",
            "UsePAM": "no",
            "PasswordAuthentication": "no",
            "PermitRootLogin": "prohibit-password",
        }
        text = "".join(f"{name} {value}\n" for name, value in settings.items())
        (directory / "config").write_text(text, encoding="utf-8")
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self._log = (directory / "log").open("wb")
        command = [program, "-D", "-e", "-f", str(directory / "config")]
        self._process = subprocess.Popen(command, stderr=self._log)
        while self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            time.sleep(0.02)
        raise AssertionError((directory / "log").read_text(encoding="utf-8"))

    def know(self, name: str) -> None:
        """Make a key the known one of the host."""
        key = (self.directory / f"{name}.pub").read_text(encoding="utf-8")
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {key}", encoding="utf-8")

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._log.close()
