"""A Git server as operators run it: git http-backend behind nginx; and a proxy that cuts."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

_SETTINGS = """\
daemon off;
{user}
pid {directory}/nginx.pid;
error_log {directory}/error.log;
worker_processes 1;
events {{}}
http {{
    access_log off;
    client_max_body_size 0;
    client_body_temp_path {directory}/body;
    fastcgi_temp_path {directory}/fastcgi;
    proxy_temp_path {directory}/proxy;
    scgi_temp_path {directory}/scgi;
    uwsgi_temp_path {directory}/uwsgi;
    server {{
        listen 127.0.0.1:{port};
        auth_basic "git";
        auth_basic_user_file {directory}/passwords;
        location / {{
            fastcgi_pass unix:{directory}/socket;
            fastcgi_param SCRIPT_FILENAME {backend};
            fastcgi_param GIT_PROJECT_ROOT {root};
            fastcgi_param GIT_HTTP_EXPORT_ALL "";
            fastcgi_param GIT_PROTOCOL $http_git_protocol;
            fastcgi_param HTTP_CONTENT_ENCODING $http_content_encoding;
            fastcgi_param PATH_INFO $uri;
            fastcgi_param QUERY_STRING $query_string;
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param CONTENT_TYPE $content_type;
            fastcgi_param CONTENT_LENGTH $content_length;
            fastcgi_param REMOTE_USER $remote_user;
        }}
    }}
}}
"""
PROGRAMS = ("nginx", "fcgiwrap")
SEARCHED = f"{os.environ['PATH']}:/usr/sbin"


class NginxGitServer:
    """Serves the bare repositories below a directory, to one user with a password.

    Args:
        root: The directory.
        directory: An empty directory for its own files.
        port: A free port.
    """

    def __init__(self, root: Path, directory: Path, port: int) -> None:
        self.directory, self.port = directory, port
        nginx, fcgiwrap = (str(shutil.which(name, path=SEARCHED)) for name in PROGRAMS)
        found = subprocess.run(["git", "--exec-path"], capture_output=True, check=True)
        settings = _SETTINGS.format(
            user="user root;" if os.geteuid() == 0 else "",
            backend=f"{found.stdout.decode().strip()}/git-http-backend",
            root=root,
            directory=directory,
            port=port,
        )
        (directory / "nginx.conf").write_text(settings, encoding="utf-8")
        environment = {"PATH": SEARCHED, "HOME": str(directory)}
        commands = [
            [fcgiwrap, "-f", "-c", "2", "-s", f"unix:{directory}/socket"],
            [nginx, "-p", str(directory), "-e", f"{directory}/error.log"],
        ]
        commands[1] += ["-c", str(directory / "nginx.conf")]
        self._log = (directory / "log").open("wb")
        self._processes = [
            subprocess.Popen(one, env=environment, stderr=self._log, start_new_session=True)
            for one in commands
        ]
        self.know("ada", "x")
        while all(process.poll() is None for process in self._processes):
            is_ready = (directory / "socket").exists()
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                if is_ready:
                    return
            time.sleep(0.02)
        raise AssertionError((directory / "log").read_text(encoding="utf-8"))

    def know(self, user: str, password: str) -> None:
        """Make this the only user."""
        text = f"{user}:{{PLAIN}}{password}\n"
        (self.directory / "passwords").write_text(text, encoding="utf-8")

    def close(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # the children of fcgiwrap outlive it
        self._log.close()


class CuttingProxy:
    """Forwards connections, and closes them after so many bytes of an answer.

    Args:
        port: The port of the server.
    """

    def __init__(self, port: int) -> None:
        self.limit: int | None = None
        """The bytes of answers on each connection; `None` for all."""
        self.cuts = 0
        self._upstream = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                server = socket.create_connection(("127.0.0.1", self._upstream))
                for pair in ((client, server, None), (server, client, self.limit)):
                    threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, left: int | None) -> None:
        with contextlib.suppress(OSError), source, sink:
            while data := source.recv(65_536):
                sink.sendall(data if left is None else data[:left])
                if left is not None:
                    left -= len(data)
                    if left <= 0:
                        self.cuts += 1
                        break
            for end in (source, sink):
                end.shutdown(socket.SHUT_RDWR)
