"""Give containers one throwaway identity: ``python -m local.docker.identity --folder DIR --token-uri URL``.

The container runs at every ``docker compose up``, also beside a proxy and an emulator that run already
and have read their files. So what is there and good for a while longer is left alone.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
from pathlib import Path

from cryptography import x509

from local.stack.certificates import make_certificates, make_service_account

SPARE = dt.timedelta(days=1)
_CERTIFICATES = ("authority.pem", "server.pem")
_ACCOUNT = "service-account.json"


def is_good(folder: Path, *, project: str, token_uri: str, now: dt.datetime) -> bool:
    """Whether the identity is readable, for this project and token endpoint, and lasts past `SPARE`."""
    try:
        pems = [(folder / name).read_bytes() for name in _CERTIFICATES]
        certificates = [x509.load_pem_x509_certificate(pem) for pem in pems]
        account = json.loads((folder / _ACCOUNT).read_text())
        (folder / "server.key").read_bytes()
    except (OSError, ValueError):
        return False
    return all(certificate.not_valid_after_utc > now + SPARE for certificate in certificates) and (
        account.get("project_id"),
        account.get("token_uri"),
    ) == (project, token_uri)


def main(arguments: list[str] | None = None) -> None:
    """Make the certificates and the service account, unless good ones are there."""
    parser = argparse.ArgumentParser(prog="python -m local.docker.identity", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument(
        "--token-uri", required=True, help="the emulator's token endpoint, as the proxy sees it"
    )
    parser.add_argument("--project", default="demo-project")
    options = parser.parse_args(arguments)
    wanted = {"project": options.project, "token_uri": options.token_uri}
    if is_good(options.folder, **wanted, now=dt.datetime.now(dt.UTC)):
        print(f"{options.folder}: kept")
        return
    make_certificates(options.folder)
    make_service_account(options.folder / _ACCOUNT, **wanted)
    print(f"{options.folder}: regenerated; restart a running proxy or emulator")


if __name__ == "__main__":
    main()
