"""Validators behind a listener that speaks TLS: real handshakes on this machine."""

import http.server
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from immutable.model import Endpoint
from immutable.validators.exchange import NoAnswer, get

NAME = "shop.example"
SOON = timedelta(seconds=20)


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a key and a certificate for `NAME`, which signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path


class _Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = self.headers["Host"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: object = "-", size: object = "-") -> None:
        del code, size


@pytest.fixture
def port(pem: Path) -> Iterator[int]:
    """Return the port of a server that speaks TLS and answers with the host asked for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


def endpoint(port: int, host: str = NAME) -> Endpoint:
    """Return a route that is chosen by name."""
    headers = (("Host", host),)
    return Endpoint(host="127.0.0.1", port=port, headers=headers, scheme="https")


def test_a_route_with_tls_is_asked(
    port: int, pem: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The certificate is compared with the name that chooses the route."""
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with get(endpoint(port), "/", headers={}, timeout=SOON) as answer:
        assert (answer.status, answer.body()) == (200, NAME.encode())


@pytest.mark.parametrize("host", ["other.example", "127.0.0.1"])
def test_a_certificate_of_another_is_no_answer(
    port: int, pem: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """Whoever cannot prove who they are has said nothing."""
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    asked = get(endpoint(port, host), "/", headers={}, timeout=SOON)
    with pytest.raises(NoAnswer, match="certificate"), asked:
        pass


def test_a_certificate_that_nobody_trusts_is_no_answer(port: int) -> None:
    """There is no way around the check."""
    asked = get(endpoint(port), "/", headers={}, timeout=SOON)
    with pytest.raises(NoAnswer, match="certificate"), asked:
        pass


def test_an_url_says_how_to_speak() -> None:
    """Programs that are given the URL speak as the route does."""
    assert endpoint(443).url == "https://127.0.0.1:443"
