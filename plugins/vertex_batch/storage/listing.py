"""List the objects of a URI. A wildcard lists one level of a folder; only ``**`` walks a tree.

In Cloud Storage each page of a listing is one request that returns size, generation and content encoding, so
no object has to be looked up again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from vertex_batch.errors import ConfigurationError
from vertex_batch.storage.objects import SourceObject

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_WILDCARDS = frozenset("*?[")
_PAGE = 5000  # the most that Cloud Storage returns at once
_FIELDS = "nextPageToken,prefixes,items(name,size,generation,contentEncoding,timeCreated)"
_OBJECT_FIELDS = "name,size,generation,contentEncoding,timeCreated"


def path_of(fs: AbstractFileSystem, uri: str) -> str:
    """The path of a URI within its file system.

    :raises ConfigurationError: the URI belongs to another kind of store.
    """
    protocols = (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)
    if "://" in uri and uri.split("://", 1)[0] not in protocols:
        raise ConfigurationError(f"{uri} is not a valid input: write gs://BUCKET/OBJECT or bq://TABLE.")
    return str(fs._strip_protocol(uri))  # noqa: SLF001 - fsspec has no public name for it


def bucket_of(fs: AbstractFileSystem, uri: str) -> str:
    return path_of(fs, uri).lstrip("/").split("/", 1)[0]


def has_wildcard(text: str) -> bool:
    """Whether gsutil, and therefore Vertex, reads it as a pattern."""
    return bool(_WILDCARDS & set(text))


def literal_wildcard_problem(uri: str) -> str | None:
    """Explain why no job can read an object of exactly this name; None if a job can.

    Vertex reads brackets as a wildcard, even in the name of an object that exists. Then the job fails after
    it was created.
    """
    if "[" not in uri:
        return None
    pattern = uri.replace("[", "?").replace("]", "?")
    return (
        "its name contains `[` or `]`, which Vertex reads as a wildcard, so the job would not find it: rename"
        f" the object, or write `{pattern}`, in which each `?` matches one character"
    )


def is_local(fs: AbstractFileSystem) -> bool:
    return "file" in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol)


def list_objects(fs: AbstractFileSystem, uri: str) -> list[SourceObject]:
    """List the objects of a URI, in the order of names: one object, or all that match a wildcard.

    If the wildcard matches nothing, an object whose name is literally the URI is found.
    """
    path = path_of(fs, uri)
    if has_wildcard(path) and (found := _matches(fs, path, _scheme(uri))):
        return found
    one = look_up(fs, uri)
    return [one] if one else []


def list_below(fs: AbstractFileSystem, folder: str) -> list[SourceObject]:
    """List every object below a folder, at all depths, in the order of names."""
    root, scheme = path_of(fs, folder).rstrip("/"), _scheme(folder)
    if not _is_gcs(fs):
        fs.invalidate_cache(root)  # it may be older than the objects
        try:
            entries = fs.find(root, detail=True)
        except FileNotFoundError:
            return []
        return _sorted(_from_entry(fs, scheme, entry) for entry in entries.values())
    bucket, _, prefix = root.partition("/")
    try:
        items = [item for page in _pages(fs, bucket, f"{prefix}/" if prefix else "") for item in _items(page)]
    except FileNotFoundError:
        return []
    return _sorted(_from_item(scheme, bucket, item) for item in items)


def list_folders(fs: AbstractFileSystem, pattern: str) -> dict[str, list[SourceObject]]:
    """List every object below each folder that a wildcard matches, in the order of names."""
    scheme, wanted = _scheme(pattern), names_like(path_of(fs, pattern).rstrip("/"))
    folders: dict[str, list[SourceObject]] = {}
    for each in _matches(fs, f"{path_of(fs, pattern).rstrip('/')}/**", scheme):
        parts = each.uri.removeprefix(scheme).split("/")
        above = ("/".join(parts[:depth]) for depth in range(1, len(parts)))
        if folder := next((folder for folder in above if wanted.fullmatch(folder)), None):
            folders.setdefault(f"{scheme}{folder}", []).append(each)
    return folders


def bucket_exists(fs: AbstractFileSystem, uri: str) -> bool:
    """Whether the bucket of a URI exists; False only if Cloud Storage answers 404 for the bucket itself."""
    if not _is_gcs(fs):
        return True
    bucket, _, prefix = path_of(fs, uri).lstrip("/").partition("/")
    try:
        # One object is listed: reading the bucket itself needs a permission that readers of objects lack.
        fs.call("GET", "b/{}/o", bucket, prefix=prefix or None, maxResults=1, fields="items(name)")
    except FileNotFoundError:
        try:
            fs.call("GET", "b/{}", bucket, fields="name")
        except FileNotFoundError:
            return False
    return True


def is_folder(fs: AbstractFileSystem, uri: str) -> bool:
    """Whether there are objects below a URI that is not an object itself."""
    path = path_of(fs, uri).rstrip("/")
    if not _is_gcs(fs):
        return bool(fs.isdir(path))
    bucket, _, prefix = path.partition("/")
    page = fs.call("GET", "b/{}/o", bucket, prefix=f"{prefix}/", maxResults=1, json_out=True)
    return bool(page.get("items"))


def _is_gcs(fs: AbstractFileSystem) -> bool:
    return hasattr(fs, "call")


def _scheme(uri: str) -> str:
    return uri.split("://", 1)[0] + "://" if "://" in uri else ""


def look_up(fs: AbstractFileSystem, uri: str) -> SourceObject | None:
    """Look up one object by its literal name; None if it does not exist."""
    path = path_of(fs, uri)
    bucket, _, name = path.partition("/")
    try:
        if _is_gcs(fs):
            if not name or name.endswith("/"):
                return None
            item = fs.call("GET", "b/{}/o/{}", bucket, name, fields=_OBJECT_FIELDS, json_out=True)
            return _from_item(_scheme(uri), bucket, item)
        entry = fs.info(path)
    except FileNotFoundError:
        return None
    return SourceObject(uri, int(entry["size"]), _version(entry)) if entry["type"] == "file" else None


def _matches(fs: AbstractFileSystem, path: str, scheme: str) -> list[SourceObject]:
    try:
        if _is_gcs(fs):
            bucket, _, pattern = path.partition("/")
            items = _expand(fs, bucket, "", pattern.split("/"))
            return _sorted(_from_item(scheme, bucket, item) for item in items)
        entries = fs.glob(path, detail=True)
    except FileNotFoundError:
        return []
    return _sorted(_from_entry(fs, scheme, each) for each in entries.values() if each["type"] == "file")


def _expand(
    fs: AbstractFileSystem, bucket: str, folder: str, segments: Sequence[str]
) -> Iterator[Mapping[str, Any]]:
    """Expand a pattern, with one listing for each level that has a wildcard."""
    while len(segments) > 1 and not has_wildcard(segments[0]):
        folder, segments = f"{folder}{segments[0]}/", segments[1:]
    here, below = segments[0], segments[1:]
    prefix = folder + _literal(here)
    if "**" in here:
        wanted = names_like(folder + "/".join(segments))
        pages = _pages(fs, bucket, prefix)
        yield from (item for page in pages for item in _items(page) if wanted.fullmatch(item["name"]))
        return
    wanted = names_like(folder + here)
    for page in _pages(fs, bucket, prefix, delimiter="/"):
        if not below:
            yield from (item for item in _items(page) if wanted.fullmatch(item["name"]))
            continue
        for found in page.get("prefixes", ()):
            if wanted.fullmatch(found.rstrip("/")):
                yield from _expand(fs, bucket, found, below)


def _pages(
    fs: AbstractFileSystem, bucket: str, prefix: str, delimiter: str | None = None
) -> Iterator[Mapping[str, Any]]:
    token = None
    while True:
        page: Mapping[str, object] = fs.call(
            "GET",
            "b/{}/o",
            bucket,
            prefix=prefix or None,
            delimiter=delimiter,
            maxResults=_PAGE,
            pageToken=token,
            fields=_FIELDS,
            json_out=True,
        )
        yield page
        token = page.get("nextPageToken")
        if not token:
            return


def _items(page: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The objects of a page, without the empty ones that mark folders."""
    for item in page.get("items", ()):
        if not item["name"].endswith("/"):
            yield item


def _literal(segment: str) -> str:
    """The part of a segment before its first wildcard."""
    return re.split(r"[*?\[]", segment, maxsplit=1)[0]


def names_like(pattern: str) -> re.Pattern[str]:
    """The names that a pattern matches, as gsutil reads it: ``*`` and ``?`` stay within one level."""
    parts, at = [], 0
    while at < len(pattern):
        close = pattern.find("]", at + 2) if pattern[at] == "[" else -1
        if pattern.startswith("**", at):
            parts.append(".*")
            at += 2
            continue
        if close > 0:
            chosen = pattern[at + 1 : close]
            negated = chosen.startswith(("!", "^"))
            chosen = re.sub(r"([\\\]\[^&~|])", r"\\\1", chosen[1:] if negated else chosen)
            parts.append(f"[{'^' if negated else ''}{chosen}]")
            at = close + 1
            continue
        parts.append({"*": "[^/]*", "?": "[^/]"}.get(pattern[at], re.escape(pattern[at])))
        at += 1
    return re.compile("".join(parts), re.DOTALL)


def _from_item(scheme: str, bucket: str, item: Mapping[str, Any]) -> SourceObject:
    return SourceObject(
        f"{scheme}{bucket}/{item['name']}",
        int(item.get("size", 0)),
        str(item.get("generation", "")),
        str(item.get("contentEncoding") or ""),
        _moment(item.get("timeCreated")),
    )


def _moment(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _from_entry(fs: AbstractFileSystem, scheme: str, entry: Mapping[str, Any]) -> SourceObject:
    name = str(entry["name"])
    uri = scheme + (name if is_local(fs) or not scheme else name.lstrip("/"))
    return SourceObject(uri, int(entry["size"]), _version(entry))


def _version(entry: Mapping[str, object]) -> str:
    return str(
        entry.get("generation") or entry.get("etag") or entry.get("mtime") or entry.get("created") or ""
    )


def _sorted(objects: Iterator[SourceObject]) -> list[SourceObject]:
    return sorted(objects, key=lambda each: each.uri)
