"""Write objects as the object store itself keeps them, without a request: gigabytes in seconds.

fake-gcs-server's filesystem backend keeps an object as a file, and what it knows of it in the file's extended
attribute ``user.metadata``. An object that the server has written itself is the template of that.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import google_crc32c

from local.stack.gcs import ObjectStore

ATTRIBUTE = "user.metadata"


@dataclass(frozen=True)
class WrittenObject:
    """An object in the store."""

    uri: str
    size: int


class ObjectFolder:
    """The files of one bucket.

    :param store: the running server.
    :param root: the folder in which it keeps its objects.
    """

    def __init__(self, store: ObjectStore, root: Path, bucket: str) -> None:
        self._folder = root / bucket
        self._bucket = bucket
        store.create_bucket(bucket)
        sample = f"gs://{bucket}/sample"
        store.put(sample, b"sample")
        self._template = json.loads(os.getxattr(self._folder / "sample", ATTRIBUTE))
        self._generation = int(self._template["Generation"])
        store.delete(sample)

    def write(self, name: str, pieces: Iterable[bytes]) -> WrittenObject:
        """Write an object."""
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        md5, crc, size = hashlib.md5(usedforsecurity=False), google_crc32c.Checksum(), 0  # type: ignore[no-untyped-call]
        with path.open("wb") as file:
            for piece in pieces:
                file.write(piece)
                md5.update(piece)
                crc.update(piece)  # type: ignore[no-untyped-call]
                size += len(piece)
        digest = base64.b64encode(md5.digest()).decode()
        self._generation = max(self._generation + 1, time.time_ns() // 1000)
        metadata = self._template | {
            "Md5Hash": digest,
            "Etag": digest,
            "Crc32c": base64.b64encode(crc.digest()).decode(),  # type: ignore[no-untyped-call]
            "Generation": self._generation,
        }
        os.setxattr(path, ATTRIBUTE, json.dumps(metadata).encode())
        return WrittenObject(f"gs://{self._bucket}/{name}", size)

    def path(self, uri: str) -> Path:
        """The file or folder of an address; reading it is safe, writing is not."""
        return self._folder / uri.removeprefix(f"gs://{self._bucket}/")

    def files(self, uri: str) -> Iterator[Path]:
        """The files below an address."""
        return (path for path in sorted(self.path(uri).rglob("*")) if path.is_file())

    def remove(self, prefix: str) -> None:
        """Remove a folder and everything in it, to make room on the disk."""
        shutil.rmtree(self._folder / prefix, ignore_errors=True)
