"""The object store as the service agent sees it: the JSON API of Google Cloud Storage, read and written as
streams.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from threading import Lock
from urllib.parse import quote

import httpx

_CHUNK_BYTES = 1 << 20
# The store holds an object several times over while it is written: large ones are written one after another.
_LARGE_BYTES = 64 << 20
_LARGE_SECONDS = 600
_WILDCARD = re.compile(r"[*?\[]")


class BucketMissingError(Exception):
    """There is no such bucket, or the service agent may not see it."""

    def __init__(self, bucket: str) -> None:
        super().__init__(bucket)
        self.bucket = bucket


class ObjectMissingError(Exception):
    """No object is at a URI, or none matches its wildcards."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self.uri = uri


@dataclass(frozen=True)
class Uri:
    """``gs://bucket/name``."""

    bucket: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Uri:
        """Split a URI that `rules` has accepted."""
        bucket, _, name = text.removeprefix("gs://").partition("/")
        return cls(bucket, name)

    def __str__(self) -> str:
        return f"gs://{self.bucket}/{self.name}"


class ObjectStore:
    """A client for one store; used from worker threads."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=60, trust_env=False)
        self._large = Lock()

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def check_bucket(self, bucket: str) -> None:
        """Fail with `BucketMissingError` where there is no such bucket."""
        answer = self._client.get(f"/storage/v1/b/{quote(bucket, safe='')}")
        if answer.status_code in (401, 403, 404):
            raise BucketMissingError(bucket)
        answer.raise_for_status()

    def expand(self, uri: Uri) -> list[Uri]:
        """The objects that a URI stands for, in the order of their names.

        Wildcards are those of gsutil: ``*`` and ``?`` stay inside a folder, ``**`` does not.
        """
        wildcard = _WILDCARD.search(uri.name)
        if wildcard is None:  # looked at by its name: a list of its prefix may be long
            found = [uri.name] if self._is_there(uri) else []
        else:
            pattern = _glob(uri.name)
            found = [
                name
                for name in self._names(uri.bucket, uri.name[: wildcard.start()])
                if pattern.fullmatch(name)
            ]
        if not found:
            raise ObjectMissingError(str(uri))
        return [Uri(uri.bucket, name) for name in sorted(found)]

    def lines(self, uri: Uri) -> Iterator[bytes]:
        """The lines of an object that are not blank, without their line ends; in bounded memory."""
        path = f"/storage/v1/b/{quote(uri.bucket, safe='')}/o/{quote(uri.name, safe='')}"
        with self._client.stream("GET", path, params={"alt": "media"}) as answer:
            if answer.status_code == httpx.codes.NOT_FOUND:
                raise ObjectMissingError(str(uri))
            answer.raise_for_status()
            rest = b""
            for chunk in answer.iter_bytes(_CHUNK_BYTES):
                *whole, rest = (rest + chunk).split(b"\n")
                yield from (line for line in whole if line.strip())
            if rest.strip():
                yield rest

    def upload(self, uri: Uri, pieces: Iterable[bytes], size: int) -> None:
        """Write an object of ``size`` bytes."""
        is_large = size > _LARGE_BYTES
        with self._large if is_large else nullcontext():
            answer = self._client.post(
                f"/upload/storage/v1/b/{quote(uri.bucket, safe='')}/o",
                params={"uploadType": "media", "name": uri.name},
                headers={"content-type": "application/octet-stream", "content-length": str(size)},
                content=iter(pieces),
                timeout=_LARGE_SECONDS if is_large else httpx.USE_CLIENT_DEFAULT,
            )
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise BucketMissingError(uri.bucket)
        answer.raise_for_status()

    def _is_there(self, uri: Uri) -> bool:
        answer = self._client.get(
            f"/storage/v1/b/{quote(uri.bucket, safe='')}/o/{quote(uri.name, safe='')}",
            params={"fields": "name"},
        )
        if answer.status_code == httpx.codes.NOT_FOUND:
            return False
        answer.raise_for_status()
        return True

    def _names(self, bucket: str, prefix: str) -> Iterator[str]:
        params = {"prefix": prefix, "fields": "items(name),nextPageToken"}
        while True:
            answer = self._client.get(f"/storage/v1/b/{quote(bucket, safe='')}/o", params=params)
            if answer.status_code == httpx.codes.NOT_FOUND:
                raise BucketMissingError(bucket)
            answer.raise_for_status()
            page = answer.json()
            yield from (item["name"] for item in page.get("items", []))
            if not page.get("nextPageToken"):
                return
            params["pageToken"] = page["nextPageToken"]


def _glob(pattern: str) -> re.Pattern[str]:
    translate = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    pieces = re.findall(r"\*\*|\*|\?|\[[^\]]+\]|[^*?\[]+|\[", pattern)
    return re.compile(
        "".join(
            translate.get(piece)
            or (piece if piece.startswith("[") and piece.endswith("]") else re.escape(piece))
            for piece in pieces
        ),
        re.DOTALL,
    )
