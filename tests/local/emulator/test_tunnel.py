"""The CONNECT port, and connection resets as a bare socket sees them, on both ports."""

import socket
import ssl

import pytest

from local.emulator.admin import Fault, FaultKind, Operation

HOST = "us-central1-aiplatform.googleapis.com"


def request_text(emulator, api, host):
    return (
        f"GET {api.path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {emulator.token}\r\n\r\n"
    ).encode()


def read_head(sock):
    head = b""
    while b"\r\n\r\n" not in head:
        piece = sock.recv(1)
        if not piece:
            break
        head += piece
    return head.decode()


@pytest.fixture
def plain(emulator):
    with socket.create_connection(("127.0.0.1", emulator.port), timeout=5) as sock:
        yield sock


@pytest.fixture
def connect(emulator):
    """Ask the tunnel for a host; the socket and the answer's first line."""
    sockets = []

    def ask(target, method="CONNECT"):
        sock = socket.create_connection(("127.0.0.1", emulator.tls_port), timeout=5)
        sockets.append(sock)
        sock.sendall(f"{method} {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
        return sock, read_head(sock).splitlines()[0]

    yield ask
    for sock in sockets:
        sock.close()


@pytest.fixture
def tunnelled(emulator, connect):
    """Speak TLS to a Google host through the tunnel, as a client that trusts the authority."""
    wrapped = []

    def ask(host=HOST):
        sock, _ = connect(f"{host}:443")
        context = ssl.create_default_context(cafile=str(emulator.certificates.authority))
        wrapped.append(context.wrap_socket(sock, server_hostname=host))
        return wrapped[-1]

    yield ask
    for sock in wrapped:
        sock.close()


@pytest.mark.parametrize(
    "host", [HOST, "aiplatform.googleapis.com", "aiplatform.eu.rep.googleapis.com", "oauth2.googleapis.com"]
)
def test_googles_hosts_are_served_behind_tls(tunnelled, emulator, api, host):
    sock = tunnelled(host)
    sock.sendall(request_text(emulator, api, host))
    status = read_head(sock).split()[1]
    assert status == ("200" if host in (HOST, "oauth2.googleapis.com") else "400")


@pytest.mark.parametrize(
    "target", ["example.org:443", "googleapis.com.example.org:443", f"{HOST}:80", "169.254.169.254:443", "x"]
)
def test_other_hosts_are_refused(connect, target):
    assert connect(target)[1] == "HTTP/1.1 403 Forbidden"


def test_other_methods_are_refused(connect):
    assert connect("http://example.org/", "GET")[1] == "HTTP/1.1 405 Method Not Allowed"


def test_a_connection_through_the_tunnel_is_kept_for_the_next_call(tunnelled, emulator, api):
    sock = tunnelled()
    for _ in range(3):
        sock.sendall(request_text(emulator, api, HOST))
        head = read_head(sock)
        assert head.startswith("HTTP/1.1 200")
        length = int(head.lower().partition("content-length: ")[2].split()[0])
        assert len(sock.recv(length)) == length


def test_the_log_knows_the_host_that_was_asked_for(tunnelled, emulator, api, admin):
    sock = tunnelled()
    sock.sendall(request_text(emulator, api, HOST))
    read_head(sock)
    assert admin.wait_for_calls(Operation.LIST)[0].host == HOST


@pytest.mark.parametrize("kind", [FaultKind.RESET_BEFORE, FaultKind.RESET_AFTER])
def test_a_reset_is_a_tcp_reset_on_the_plain_port(plain, emulator, api, admin, kind):
    admin.add_fault(Fault(op=Operation.LIST, kind=kind))
    plain.sendall(request_text(emulator, api, "127.0.0.1"))
    with pytest.raises(ConnectionResetError):
        plain.recv(1)


@pytest.mark.parametrize("kind", [FaultKind.RESET_BEFORE, FaultKind.RESET_AFTER])
def test_a_reset_is_a_tcp_reset_through_the_tunnel(connect, emulator, api, admin, kind):
    admin.add_fault(Fault(op=Operation.LIST, kind=kind))
    sock, _ = connect(f"{HOST}:443")
    # TLS over memory, since an SSLSocket reports a reset as an end of file.
    context = ssl.create_default_context(cafile=str(emulator.certificates.authority))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=HOST)
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            sock.sendall(outgoing.read())
            incoming.write(sock.recv(65536))
    tls.write(request_text(emulator, api, HOST))
    sock.sendall(outgoing.read())
    with pytest.raises(ConnectionResetError):
        sock.recv(65536) and sock.recv(65536)  # the first may hold the session tickets of TLS


def test_other_connections_outlive_a_reset(plain, tunnelled, emulator, api, admin):
    survivor = tunnelled()
    admin.add_fault(Fault(op=Operation.LIST, kind=FaultKind.RESET_BEFORE))
    plain.sendall(request_text(emulator, api, "127.0.0.1"))
    with pytest.raises(ConnectionResetError):
        plain.recv(1)
    survivor.sendall(request_text(emulator, api, HOST))
    assert read_head(survivor).startswith("HTTP/1.1 200")
