"""Put standard input into the stack's object store: ``python -m local.docker.put gs://bucket/name``.

``docs/deployment.md`` has the whole command. The bucket is made if it is missing.
"""

from __future__ import annotations

import argparse
import os
import sys

from local.stack.gcs import ObjectStore


def main(arguments: list[str] | None = None) -> None:
    """Write one object, or only make the bucket when the address names no object."""
    parser = argparse.ArgumentParser(prog="python -m local.docker.put", description=__doc__)
    parser.add_argument("uri", help="gs://bucket/name, or gs://bucket to make a bucket")
    parser.add_argument("--storage-url", default=os.environ.get("STORAGE_EMULATOR_HOST", "http://gcs:4443"))
    options = parser.parse_args(arguments)
    bucket, _, name = options.uri.removeprefix("gs://").partition("/")
    if not options.uri.startswith("gs://") or not bucket:
        parser.error(f"{options.uri!r} is not an address such as gs://bucket/name")
    store = ObjectStore(options.storage_url)
    store.create_bucket(bucket)
    if name:
        content = sys.stdin.buffer.read()
        store.put(options.uri, content)
        print(f"{options.uri}: {len(content)} bytes")
    store.close()


if __name__ == "__main__":
    main()
