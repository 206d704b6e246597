"""A throwaway certificate authority and service account: the real proxy takes the emulator for Google.

Both are regenerated at each start, valid for some days, and trusted only by the one process that is
configured to.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# The regional, the multi-regional and the global host names under which the job service is reached.
HOST_NAMES = ("*.googleapis.com", "*.us.rep.googleapis.com", "*.eu.rep.googleapis.com")
LIFETIME = dt.timedelta(days=7)


@dataclass(frozen=True)
class Certificates:
    """Paths of the authority's certificate, and of the server's certificate and key."""

    authority: Path
    certificate: Path
    key: Path


def make_certificates(folder: Path) -> Certificates:
    """Write an authority and a server certificate for Google's host names into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    authority_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority_name = _name("throwaway authority of a local stack")
    authority = (
        _builder(authority_name, authority_name, authority_key.public_key(), authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    server = (
        _builder(_name("emulated googleapis.com"), authority_name, server_key.public_key(), authority_key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name) for name in HOST_NAMES]), critical=False
        )
        .sign(authority_key, hashes.SHA256())
    )
    paths = Certificates(folder / "authority.pem", folder / "server.pem", folder / "server.key")
    for path, certificate in ((paths.authority, authority), (paths.certificate, server)):
        _replace(path, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    _replace(paths.key, _pem(server_key), 0o600)
    return paths


def make_service_account(path: Path, *, project: str, token_uri: str) -> Path:
    """Write the JSON key of a service account that exists nowhere and gets its tokens at ``token_uri``.

    The proxy loads the key for each call: 36 ms of processor time at 2,048 bits, 5 ms at 1,024.
    """
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - it opens nothing
    email = f"batch@{project}.iam.gserviceaccount.com"
    content = {
        "type": "service_account",
        "project_id": project,
        "private_key_id": "throwaway",
        "private_key": _pem(key).decode(),
        "client_email": email,
        "client_id": "100000000000000000001",
        "token_uri": token_uri,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path, json.dumps(content, indent=2).encode(), 0o600)
    return path


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePrivateKey,
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + LIFETIME)
        # Python 3.13 refuses chains without these two.
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _replace(path: Path, content: bytes, mode: int) -> None:
    """Write a new file: an earlier one may belong to another user, who wrote it when AIRFLOW_UID differed."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
