"""Decode rows as far as a join needs them: requests, which are most of a row, only where it is inevitable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from vertex_batch.preflight import REQUEST_NAMES, key_at, path_names
from vertex_batch.results.keys import Digest, key_text, prompt_digest
from vertex_batch.usage.reader import strict_json

_ANSWER_NAMES = ("response", "predictions", "prediction", "result")
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_decode = msgspec.json.Decoder().decode

Row = dict[str, Any]


class RowDecoder:
    """Decodes the rows of one run.

    :param key: the path of the key; empty if rows have none.
    """

    def __init__(self, key: str) -> None:
        self._path = path_names(key)
        # A key inside a request needs the request; a sibling of it is decoded alone.
        self._sibling = key if len(self._path) == 1 and key not in (*REQUEST_NAMES, *_ANSWER_NAMES) else ""
        answer = [("response", Any, msgspec.field(default=UNSET))]
        named = [("key", Any, msgspec.field(name=self._sibling, default=UNSET))] if self._sibling else []
        skipped = [("request", Raw | UnsetType, msgspec.field(default=UNSET))]
        self._decode_output: Callable[[bytes], Any] = msgspec.json.Decoder(
            msgspec.defstruct("OutputRow", [*answer, *named, *skipped], gc=False)
        ).decode
        self._decode_key: Callable[[bytes], Any] = msgspec.json.Decoder(
            msgspec.defstruct("KeyOnly", named, gc=False)
        ).decode

    def whole(self, line: bytes) -> Row:
        """All of a row; empty if it is not a JSON object."""
        try:
            row = _decode(line)
        except _NOT_JSON:
            try:
                plain = strict_json(line)
                row = _decode(plain) if plain else None
            except _NOT_JSON:
                row = None
        return row if isinstance(row, dict) else {}

    def key_of(self, row: Row) -> str | None:
        """The key of a whole row; None if it has none."""
        return key_text(key_at(row, self._path)) if self._path else None

    def prompt_of(self, line: bytes) -> Digest | None:
        """The digest of a line's prompt; None if it has none."""
        return prompt_digest(self.whole(line))

    def key_in(self, line: bytes) -> str | None:
        """The key of a line of input, of which nothing else is needed."""
        if self._sibling:
            try:
                found = self._decode_key(line).key
            except _NOT_JSON:
                found = UNSET
            if type(found) is str:
                return found
        return self.key_of(self.whole(line))

    def output(self, line: bytes, wrapper: str) -> tuple[Row, str | None, bool]:
        """A row of output with its answer, its key, and whether it is the whole row.

        :param wrapper: the member that has the answer, see `Reading`.
        """
        if wrapper == "response" and (self._sibling or not self._path):
            try:
                found = self._decode_output(line)
            except _NOT_JSON:
                found = None
            if found is not None and found.response is not UNSET:
                key = getattr(found, "key", None)
                if type(key) is str or not self._path:
                    return {"response": found.response}, key, False
        row = self.whole(line)
        return row, self.key_of(row), True
