"""Input and output that are missing, unusable or not accessible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vertex_batch.errors.base import MESSAGE_MAX_CHARS, PermanentError, TransientError, scrub


class BucketMissingError(PermanentError):
    """A bucket does not exist, or the connection may not see it.

    :param consequence: what it means. Default: before a job is submitted.
    """

    def __init__(self, buckets: Sequence[str], consequence: str = "Nothing was submitted") -> None:
        self.buckets, self.consequence = tuple(buckets), consequence
        names = ", ".join(f"gs://{bucket}" for bucket in self.buckets)
        super().__init__(
            f"No such bucket: {names}. {consequence}. Check the spelling and the storage connection's"
            " project. A retry fails the same way until the bucket exists."
        )


class InputMissingError(PermanentError):
    """An input does not exist or is empty.

    :param missing: URI as the spec writes it -> what was found instead.
    :param consequence: what it means and what to do, as sentences. Default: before a job is submitted.
    """

    advice = (
        "Nothing was submitted. A retry fails the same way. Check what writes the input, and once it is"
        " there, run this again."
    )

    def __init__(self, missing: Mapping[str, str], consequence: str = "") -> None:
        self.missing, self.consequence = dict(missing), consequence
        listed = "; ".join(f"{uri} {reason}" for uri, reason in self.missing.items())
        super().__init__(f"Input is missing: {listed}. {consequence or self.advice}")


class InputUnusableError(PermanentError):
    """An input exists, but no job could read it.

    :param reason: with the line number, never the line's content.
    :param consequence: see `InputMissingError`.
    """

    advice = "Nothing was submitted. A retry fails the same way until the object is written again."

    def __init__(self, uri: str, reason: str, consequence: str = "") -> None:
        self.uri, self.reason, self.consequence = uri, reason, consequence
        super().__init__(f"Input {uri} cannot be used: {reason}. {consequence or self.advice}")


class InputChangedError(TransientError):
    """Input objects were written while they were being read.

    :param consequence: see `InputMissingError`.
    """

    advice = (
        "Nothing was submitted. A retry reads it again. Start the run only after the input has been written"
        " completely."
    )

    def __init__(self, uris: Sequence[str], consequence: str = "") -> None:
        self.uris, self.consequence = tuple(uris), consequence
        super().__init__(
            f"Input changed while it was being read: {', '.join(self.uris)}. {consequence or self.advice}"
        )


class StagingError(PermanentError):
    """The parts of an input that is too large for one job cannot be written."""

    def __init__(self, place: str, conn_id: str, reason: str) -> None:
        self.place, self.conn_id, self.reason = place, conn_id, scrub(reason)[:MESSAGE_MAX_CHARS]
        super().__init__(
            f'Connection {conn_id} may not write to {place}: "{self.reason}". The input is too large for one'
            " job, so its parts are written there. Nothing was submitted. Grant the connection's account the"
            " roles Storage Object Viewer and Storage Object Creator on the bucket, or set `staging` to a"
            " place where it has them. A retry fails the same way until then."
        )


class OutputMissingError(PermanentError):
    """A job's output is not in the place that the job names.

    :param place: the output directory or table.
    """

    def __init__(self, place: str, reason: str = "it contains no output files") -> None:
        self.place, self.reason = place, reason
        super().__init__(
            f"No output at {place}: {reason}. The job's rows may have been billed anyway. Check whether the"
            " output was moved or deleted. Once it is back, record the job again."
        )


ENVIRONMENT = "application default credentials"
"""The connection's id in messages where the store is opened without a connection."""


def _access(conn_id: str) -> str:
    return f"the {conn_id}" if conn_id == ENVIRONMENT else f"connection {conn_id}"


_ROLES = {
    False: "Storage Object Viewer (roles/storage.objectViewer)",
    True: "Storage Object User (roles/storage.objectUser)",
}


class StorageAccessError(PermanentError):
    """The storage connection has no permission to read or write an object.

    :param writes: the object was written, moved or removed.
    """

    def __init__(self, uri: str, conn_id: str, reason: str, *, writes: bool = False) -> None:
        self.uri, self.conn_id, self.reason = uri, conn_id, scrub(reason)[:MESSAGE_MAX_CHARS]
        self.writes = writes
        who = _access(conn_id)
        remedy = f"Grant the account the role {_ROLES[writes]} on the bucket."
        if "://" not in uri:
            who, remedy = "this user", "Change the permissions of the file and its folder."
        doing = "write" if writes else "read"
        super().__init__(
            f'{who[0].upper()}{who[1:]} may not {doing} {uri}: "{self.reason}". {remedy}'
            " A retry fails the same way until then."
        )


class StorageRefusedError(PermanentError):
    """The object store refuses a request until a person changes a bucket, a key or the connection.

    :param remedy: what to change, as a sentence.
    """

    def __init__(self, uri: str, conn_id: str, reason: str, remedy: str) -> None:
        self.uri, self.conn_id, self.reason = uri, conn_id, scrub(reason)[:MESSAGE_MAX_CHARS]
        self.remedy = remedy
        super().__init__(
            f'The object store refuses {uri} ({_access(conn_id)}): "{self.reason}". {remedy}'
            " A retry fails the same way until then."
        )


class ObjectEncodedError(PermanentError):
    """An object is stored with a content encoding, so neither its size nor a part of it can be relied on."""

    def __init__(self, uri: str, encoding: str) -> None:
        self.uri, self.encoding = uri, encoding
        super().__init__(
            f"{uri} is stored with Content-Encoding: {encoding}, so it cannot be read in parts. Store it"
            " without a content encoding, as plain JSONL (`gcloud storage cp` without --gzip-local) or as a"
            " .jsonl.gz object. A retry fails the same way until then."
        )


class StorageUnavailableError(TransientError):
    """The object store failed to answer.

    :param writes: the object was written, moved or removed.
    """

    def __init__(self, uri: str, reason: str, *, writes: bool = False) -> None:
        self.uri, self.reason, self.writes = uri, scrub(reason)[:MESSAGE_MAX_CHARS], writes
        doing = "write" if writes else "read"
        super().__init__(f'Could not {doing} {uri}: "{self.reason}". A retry may succeed.')
