import json
import socket
import ssl
import threading

import pytest
from cryptography.hazmat.primitives import serialization

from local.stack.certificates import make_certificates, make_service_account


@pytest.fixture
def certificates(tmp_path):
    return make_certificates(tmp_path / "tls")


@pytest.mark.parametrize(
    "host",
    [
        "us-central1-aiplatform.googleapis.com",
        "aiplatform.googleapis.com",
        "aiplatform.eu.rep.googleapis.com",
    ],
)
def test_a_client_that_trusts_the_authority_takes_the_server_for_google(certificates, host):
    assert handshake(certificates, host) is None


def test_a_client_that_trusts_the_authority_accepts_no_other_name(certificates):
    assert "Hostname mismatch" in handshake(certificates, "example.com")


def test_keys_are_readable_by_their_owner_only(certificates, tmp_path):
    account = make_service_account(tmp_path / "sa.json", project="p", token_uri="http://127.0.0.1/token")
    assert [path.stat().st_mode & 0o777 for path in (certificates.key, account)] == [0o600, 0o600]


def test_a_service_account_gets_its_tokens_where_it_is_told(tmp_path):
    path = make_service_account(tmp_path / "sa.json", project="p", token_uri="http://127.0.0.1:1/token")
    account = json.loads(path.read_text())
    assert account["token_uri"] == "http://127.0.0.1:1/token"
    assert account["client_email"] == "batch@p.iam.gserviceaccount.com"
    assert serialization.load_pem_private_key(account["private_key"].encode(), None).key_size == 1024


def handshake(certificates, host):
    """Shake hands in the strict way of Python 3.13; return what the client complains of."""
    server_side, client_side = socket.socketpair()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificates.certificate, certificates.key)
    client = ssl.create_default_context(cafile=certificates.authority)
    client.verify_flags |= ssl.VERIFY_X509_STRICT

    def serve():
        try:
            server.wrap_socket(server_side, server_side=True).close()
        except (ssl.SSLError, OSError):
            server_side.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        client.wrap_socket(client_side, server_hostname=host).close()
    except ssl.SSLCertVerificationError as error:
        return str(error)
    finally:
        client_side.close()
        thread.join()
