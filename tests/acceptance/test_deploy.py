"""What `deploy` holds, as far as this machine has the programs: systemd's own check, nginx and Caddy before a real server."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.acceptance.gitkit import Person
from tests.acceptance.serverkit import PATIENCE, Server, eventually, serving

DEPLOY = Path(__file__).parents[2] / "deploy"
ELSEWHERE = {"X-Forwarded-For": "203.0.113.9"}
ADDRESS = "127.83.0.1"  # proxies listen here: nobody else takes a port of it between its choice and their start


def program(name: str, package: str = "") -> str:
    """A program's path. Without it the test fails, and says what installs it."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        pytest.fail(
            f"{name} is not installed: apt-get install -y {package or name} (scripts/install --tests does, as root)", False
        )
    return found


# ── systemd ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, as for a machine on which Enopax is installed."""
    path = tmp_path / "enopax.service"
    path.write_text((DEPLOY / "enopax.service").read_text().replace("/opt/enopax/bin/enopax", "/bin/true"))
    return path


def test_systemd_takes_the_unit_without_a_warning(unit: Path) -> None:
    command = [program("systemd-analyze", "systemd"), "verify", "--man=no", str(unit)]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_unit_exposes_little(unit: Path) -> None:
    command = [program("systemd-analyze", "systemd"), "security", "--offline=true", "--json=short", "--threshold=20", str(unit)]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert checked.returncode == 0, [found for found in json.loads(checked.stdout) if found["exposure"]]


def test_a_service_manager_hears_when_the_server_is_ready_and_when_it_stops(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(PATIENCE)
        manager.bind(str(tmp_path / "notify"))
        with serving(tmp_path / "data", NOTIFY_SOCKET=str(tmp_path / "notify")) as server:
            assert manager.recv(100) == b"READY=1"
            server.stop()
            assert manager.recv(100) == b"STOPPING=1"


# ── Reverse proxies ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_proxy_on_this_machine_is_believed_who_asks(server: Server) -> None:
    assert httpx.get(f"{server.url}/metrics").status_code == 200
    assert httpx.get(f"{server.url}/metrics", headers=ELSEWHERE).status_code == 401


def test_nobody_else_is_believed_who_asks(tmp_path: Path) -> None:
    with serving(tmp_path / "data", ENOPAX_TRUSTED_PROXIES="192.0.2.0/24") as server:
        assert httpx.get(f"{server.url}/metrics", headers=ELSEWHERE).status_code == 200


class Proxy:
    """A server behind a proxy that was started from its file in `deploy`."""

    def __init__(self, server: Server, url: str, certificate: Path) -> None:
        self.server, self.url, self.certificate = server, url, certificate
        self.trust = ssl.create_default_context(cafile=certificate)
        self.api = httpx.Client(base_url=url, verify=self.trust, headers=server.api.headers, timeout=PATIENCE)


def certify(folder: Path) -> tuple[Path, Path]:
    """A certificate for the proxy's address, and its key."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, ADDRESS)])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(ADDRESS))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(encoding))
    secret = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(secret)
    return folder / "certificate.pem", folder / "key.pem"


def nginx(folder: Path, port: int, upstream: str, certificate: Path, key: Path) -> list[str]:
    """The command that runs nginx with the file from `deploy`, and what nginx needs around it."""
    site = (DEPLOY / "nginx.conf").read_text().replace("127.0.0.1:3001", upstream)
    site = re.sub(r"listen 443 ssl;\n.*listen .*ssl;", f"listen {ADDRESS}:{port} ssl;", site)
    site = re.sub(r"ssl_certificate .*;", f"ssl_certificate {certificate};", site)
    site = re.sub(r"ssl_certificate_key .*;", f"ssl_certificate_key {key};", site)
    (folder / "site.conf").write_text(site)
    paths = "".join(f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(
        f"{'user root;' if os.getuid() == 0 else ''}\ndaemon off;\npid {folder}/pid;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{paths}include {folder}/site.conf;\n}}\n"
    )
    return [program("nginx"), "-e", "stderr", "-c", str(folder / "nginx.conf")]


def caddy(folder: Path, port: int, upstream: str, certificate: Path, key: Path) -> list[str]:
    """The command that runs Caddy with the file from `deploy`."""
    site = (DEPLOY / "Caddyfile").read_text().replace("127.0.0.1:3001", upstream)
    head = f"{{\n\tadmin off\n}}\nhttps://{ADDRESS}:{port} {{\n\tbind {ADDRESS}\n\ttls {certificate} {key}"
    (folder / "Caddyfile").write_text(site.replace("enopax.example.org {", head))
    return [program("caddy"), "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


@pytest.fixture(scope="module", params=[nginx, caddy], ids=lambda make: make.__name__)
def proxy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A server behind each proxy, for all tests of that proxy."""
    make: Callable[..., list[str]] = request.param
    folder = tmp_path_factory.mktemp(make.__name__)
    certificate, key = certify(folder)
    with socket.create_server((ADDRESS, 0)) as free:
        port = free.getsockname()[1]
    url = f"https://{ADDRESS}:{port}"
    with serving(folder / "data", ENOPAX_PUBLIC_URL=url) as server:
        command = make(folder, port, server.url.removeprefix("http://"), certificate, key)
        log, found = folder / "proxy.log", Proxy(server, url, certificate)
        with log.open("wb") as output:
            home = {"XDG_DATA_HOME": str(folder / "caddy"), "XDG_CONFIG_HOME": str(folder / "caddy")}
            running = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **home})

        def answers() -> bool:
            assert running.poll() is None, log.read_text()
            with contextlib.suppress(httpx.TransportError):
                return found.api.get("/readyz").status_code == 200
            return False

        try:
            eventually("the proxy answers", answers)
            yield found
        finally:
            found.api.close()
            running.terminate()
            try:
                running.wait(PATIENCE)
            finally:
                running.kill()


PLACE = {"organisationName": "Acme", "projectName": "Web"}


def test_events_come_through_a_proxy_as_they_happen(proxy: Proxy) -> None:
    proxy.api.post("/v1/example", json={"name": "one", **PLACE}).raise_for_status()
    with proxy.api.stream("GET", "/v1/events", params={"org": "Acme", "project": "Web"}) as stream:
        proxy.api.post("/v1/example", json={"name": "two", **PLACE}).raise_for_status()
        assert next(line for line in stream.iter_lines() if line.startswith("data:"))


def test_a_stream_ends_at_the_server_when_its_client_leaves_the_proxy(proxy: Proxy) -> None:
    proxy.api.post("/v1/example", json={"name": "three", **PLACE}).raise_for_status()

    def connections() -> int:
        found = psutil.Process(proxy.server.pid).net_connections("tcp")
        return sum(
            1 for one in found if one.status == psutil.CONN_ESTABLISHED and one.laddr.port == urlsplit(proxy.server.url).port
        )

    with proxy.api.stream("GET", "/v1/events", params={"org": "Acme", "project": "Web"}) as stream:
        stream.raise_for_status()
        open_streams = connections()
    eventually("the server is rid of the stream", lambda: connections() < open_streams)


def test_a_repository_is_pushed_and_cloned_through_a_proxy(proxy: Proxy, person: Callable[[str], Person]) -> None:
    made = proxy.api.post("/v1/git-repo", json={"name": "site", **PLACE}).json()
    assert made["connection"]["http"].startswith(proxy.url)
    address = made["connection"]["http"].replace("https://", f"https://git:{made['credentials']['token']}@")
    ada = person("ada")
    content = os.urandom(5 << 20)
    tree = ada.work_tree("site", {"large": content})
    ada.git("push", "--quiet", address, "main", cwd=tree, GIT_SSL_CAINFO=str(proxy.certificate))
    ada.git("clone", "--quiet", address, "copy", GIT_SSL_CAINFO=str(proxy.certificate))
    assert (ada.home / "copy/large").read_bytes() == content


def test_a_client_cannot_pass_for_another_through_a_proxy(proxy: Proxy) -> None:
    """The proxy says who asks, which here is this machine, whatever the client says."""
    assert httpx.get(f"{proxy.url}/metrics", headers=ELSEWHERE, verify=proxy.trust).status_code == 200
