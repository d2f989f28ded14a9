"""Clients sign in with certificates at nginx and HAProxy, with the files of the documentation."""

import json
import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = [pytest.mark.external, pytest.mark.slow]

PATIENCE = 60.0
PROXY, CLIENT = "127.0.0.2", "127.0.0.3"
HEADER = "X-Client-Subject"
NGINX = """
daemon off;
pid {place}/nginx.pid;
error_log {place}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {place}/body;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi;
    scgi_temp_path {place}/scgi;
    {site}
}}
"""
ACCESS = """
[principals.orders]
identities = ["CN=orders,O=shop"]
rules = [{ rights = ["read"], on = "orders/*/*" }]

[principals.billing]
identities = ["CN=billing,O=shop"]
rules = [{ rights = ["read"], on = "billing/*/*" }]
"""


class Site:
    """A server behind a proxy that asks for the certificates of clients."""

    def __init__(self, server: Any, port: int, place: Path, audit: Path) -> None:
        self.server, self._port, self._place, self._audit = server, port, place, audit

    def get(self, path: str, client: Any = None, **headers: str) -> httpx.Response:
        """Ask through the proxy, as the owner of a certificate."""
        context = ssl.create_default_context(cafile=self._place / "server.pem")
        if client is not None:
            context.load_cert_chain(client.path, client.key)
        transport = httpx.HTTPTransport(verify=context, local_address=CLIENT)
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        with httpx.Client(transport=transport, timeout=PATIENCE) as through:
            return through.get(f"https://127.0.0.1:{self._port}{path}", headers=fields)

    def audited(self) -> list[dict[str, Any]]:
        """Return the lines of the audit log about requests."""
        lines = map(json.loads, self._audit.read_text(encoding="utf-8").splitlines())
        return [one for one in lines if one["operation"] != "accessFile"]


def program_of(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        reason = f"needs {name}: apt-get install {name}"
        pytest.fail(reason) if os.environ.get("PYFLY_CI") else pytest.skip(reason)
    return found


def nginx(text: str, place: Path, port: int, server: int) -> list[object]:
    text = replaced(text, "listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;")
    text = replaced(text, "/etc/nginx/config/", f"{place}/", times=3)
    text = replaced(
        text,
        "proxy_pass http://10.0.0.11:8888;",
        f"proxy_pass http://127.0.0.1:{server}; proxy_bind {PROXY};",
    )
    settings = place / "nginx.conf"
    settings.write_text(NGINX.format(place=place, site=text), encoding="utf-8")
    return [program_of("nginx"), "-p", place, "-c", settings]


def haproxy(text: str, place: Path, port: int, server: int) -> list[object]:
    text = replaced(text, "bind :443", f"bind 127.0.0.1:{port}")
    text = replaced(text, "/etc/haproxy/config/", f"{place}/", times=2)
    text = replaced(text, "10.0.0.11:8888", f"127.0.0.1:{server} source {PROXY}")
    whole = place / "server.pem"
    whole.write_bytes(whole.read_bytes() + (place / "server.key").read_bytes())
    settings = place / "haproxy.cfg"
    settings.write_text(f"global\n    maxconn 100\n\n{text}", encoding="utf-8")
    return [program_of("haproxy"), "-db", "-f", settings]


def replaced(text: str, old: str, new: str, *, times: int = 1) -> str:
    assert text.count(old) == times, old
    return text.replace(old, new)


@pytest.fixture
def authority(make_certificate: Callable[..., Any]) -> Any:
    """The authority of the clients."""
    return make_certificate("clients")


@pytest.fixture(params=[nginx, haproxy], ids=["nginx", "haproxy"])
def site(
    request: pytest.FixtureRequest,
    start_server: Callable[..., Any],
    make_certificate: Callable[..., Any],
    authority: Any,
    checkout: Path,
    tmp_path: Path,
    free_port: Callable[[], int],
) -> Iterator[Site]:
    store, access, audit = tmp_path / "store", tmp_path / "access.toml", tmp_path / "audit.log"
    for name in ("orders", "billing"):
        (store / "main").mkdir(parents=True, exist_ok=True)
        (store / "main" / f"{name}-prod.yaml").write_text(f"of: {name}\n", encoding="utf-8")
    access.write_text(ACCESS, encoding="utf-8")
    access.chmod(0o600)
    server = start_server(
        store,
        ACCESS_FILE=str(access),
        TRUSTED_PROXIES=PROXY,
        IDENTITY_HEADER=HEADER,
        AUDIT_LOG=str(audit),
        TOKEN="sesame",
    )
    make_certificate("server")
    name, port = request.param.__name__, free_port()
    suffix = {"nginx": "conf", "haproxy": "cfg"}[name]
    example = checkout / f"docs/examples/deploy/{name}-client-certificates.{suffix}"
    command = request.param(example.read_text(encoding="utf-8"), tmp_path, port, server.port)
    found = Site(server, port, tmp_path, audit)
    with subprocess.Popen([*map(str, command)], stderr=subprocess.DEVNULL) as process:
        try:
            wait_until_answering(found, process)
            yield found
        finally:
            process.terminate()


def wait_until_answering(site: Site, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            assert site.get("/health/live").status_code == 200
        except httpx.TransportError:
            assert process.poll() is None, "the proxy ended"
            assert time.monotonic() < deadline, "the proxy does not answer"
            time.sleep(0.05)
        else:
            return


def test_a_certificate_names_the_principal_and_nothing_else_does(
    site: Site, make_certificate: Callable[..., Any], authority: Any
) -> None:
    orders = make_certificate("orders", organization="shop", issuer=authority)
    billing = make_certificate("billing", organization="shop", issuer=authority)
    unknown = make_certificate("unknown", organization="shop", issuer=authority)
    for _ in range(3):  # the second answers come from memory
        for client, own, other in ((orders, "orders", "billing"), (billing, "billing", "orders")):
            answer = site.get(f"/config/{own}/prod", client)
            assert answer.status_code == 200, answer.text
            assert answer.json()["propertySources"][0]["source"] == {"of": own}
            assert site.get(f"/config/{other}/prod", client).status_code == 403
            assert site.get("/config/_whoami", client).json()["name"] == own
    # what a client says about itself is replaced by what the proxy knows
    claim = {HEADER.replace("-", "_"): "CN=billing,O=shop", "X_Forwarded_For": "192.0.2.1"}
    assert site.get("/config/_whoami", orders, **claim).json()["name"] == "orders"
    assert site.get("/config/billing/prod", orders, **claim).status_code == 403
    assert site.get("/config/billing/prod", **claim).status_code == 401
    assert site.get("/config/billing/prod", unknown, **claim).status_code == 401
    # without a certificate other credentials count, beside one none
    token = {"Authorization": "Bearer sesame"}
    assert site.get("/config/orders/prod", **token).status_code == 200
    assert site.get("/config/orders/prod", billing, **token).status_code == 400
    # past the proxy nobody has an identity, whatever the credential
    url = f"{site.server.url}/config/orders/prod"
    for headers in ({}, token):
        for forged in ({HEADER: "CN=orders,O=shop"}, {"X-Forwarded-For": "192.0.2.1"}):
            answer = httpx.get(url, headers=headers | forged)
            assert answer.status_code == 400
            assert "from trusted proxies only" in answer.json()["message"]
    assert httpx.get(url, headers=token).status_code == 200
    lines = [(one["client"], one["status"], one.get("principal")) for one in site.audited()]
    assert (CLIENT, 403, "orders") in lines
    assert (CLIENT, 401, None) in lines
    assert ("127.0.0.1", 400, None) in lines
    assert {client for client, _, _ in lines} == {CLIENT, "127.0.0.1"}


def test_a_certificate_of_another_authority_admits_nobody(
    site: Site, make_certificate: Callable[..., Any]
) -> None:
    forged = make_certificate("orders", organization="shop", issuer=make_certificate("another"))
    try:
        answer = site.get("/config/orders/prod", forged)
    except httpx.TransportError:
        return  # HAProxy ends the handshake
    assert answer.status_code == 400
    assert "SSL certificate error" in answer.text
