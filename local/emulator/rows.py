"""From an input line to an output line: what every kind of model has in common.

Everything about a row is a function of its input line and of what the scenario asks, so that a test can
compute the expected output by itself: `RowMaker.make` is that function, and it needs no server.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import msgspec

from .catalogue import Family, Model
from .embeddings import gemini_embedding, text_embedding
from .gemini import generate
from .rowkit import Answer, Draft, Stamp
from .script import Output, RowRule, Trait

FAILURES = (Trait.FAILED_EMPTY, Trait.FAILED_NULL, Trait.FAILED_ABSENT)
_TRAIT_SLOTS = {trait: 2 * index for index, trait in enumerate(Trait)}

_ANSWER: dict[Family, Callable[[Draft], Answer]] = {
    Family.GEMINI: generate,
    Family.GEMINI_EMBEDDING: gemini_embedding,
    Family.TEXT_EMBEDDING: text_embedding,
}
REQUIRED_KEYS: dict[Family, tuple[str, ...]] = {
    Family.GEMINI: ("request",),
    Family.GEMINI_EMBEDDING: ("request",),
    Family.TEXT_EMBEDDING: ("content",),
}
# Vertex writes the keys of a row in more than one order.
_ORDERS = (
    ("status", "processed_time", "request", "response"),
    ("request", "status", "response", "processed_time"),
    ("response", "processed_time", "request", "status"),
)
_OUTPUT_KEYS = frozenset({"status", "processed_time", "request", "response"})


def traits_of(
    line: bytes, mix: Mapping[Trait, float], rules: Sequence[RowRule] = (), job_id: str = ""
) -> frozenset[Trait]:
    """The traits of a row: those of the rules whose text it contains, and those of the mix.

    A share of 0.1 picks the rows whose digest, at the trait's own two bytes, is in the lowest tenth. A row
    that missed its deadline is picked per job, since the next job may well be in time.
    """
    found = {trait for rule in rules if rule.contains.encode() in line for trait in rule.traits}
    if mix:
        digest = hashlib.blake2b(line, digest_size=64).digest()
        for trait, share in mix.items():
            slot = _TRAIT_SLOTS[trait]
            drawn = digest
            if trait is Trait.FAILED_DEADLINE:
                drawn = hashlib.blake2b(line, digest_size=64, key=job_id.encode()).digest()
            if int.from_bytes(drawn[slot : slot + 2]) < share * 65536:
                found.add(trait)
    return frozenset(found)


class FailureBook:
    """How often each row has failed by a rule, over all jobs. Rows are known by their identity."""

    def __init__(self) -> None:
        self._lock, self._counts = Lock(), Counter[bytes]()

    def count(self, identity: bytes) -> int:
        """How often the row has failed."""
        with self._lock:
            return self._counts[identity]

    def add(self, identities: Iterable[bytes]) -> None:
        """Count one more failure of each of these rows."""
        with self._lock:
            self._counts.update(identities)


@dataclass(frozen=True, slots=True)
class Made:
    """What became of a row.

    :param line: the output line.
    :param failed_by_rule: the failure counts in the `FailureBook` once the row has run.
    :param never: the row never finishes, and has no line.
    :param copies: how many times the line is in the output.
    """

    line: bytes
    ok: bool = True
    failed_by_rule: bool = False
    never: bool = False
    copies: int = 1


def identity_of(row: Mapping[str, Any]) -> bytes:
    """A digest of what the row asks for: the same in every job that runs it, whatever the echo did to it."""
    asked = {key: value for key, value in row.items() if key not in _OUTPUT_KEYS or key == "request"}
    canonical = msgspec.json.encode(_without_nulls(asked), order="sorted")
    return hashlib.blake2b(canonical, digest_size=16).digest()


@dataclass(frozen=True)
class RowMaker:
    """Makes the output rows of one job."""

    model: Model
    job_id: str
    mix: Mapping[Trait, float]
    rules: Sequence[RowRule]
    output: Output
    failures: FailureBook = field(default_factory=FailureBook)

    def make(self, line: bytes, row: dict[str, Any], extra: Sequence[Trait] = ()) -> tuple[bytes, bool]:
        """The output line, and whether the row succeeded; see `run`."""
        made = self.run(line, row, extra)
        return made.line, made.ok

    def run(
        self, line: bytes, row: dict[str, Any], extra: Sequence[Trait] = (), identity: bytes = b""
    ) -> Made:
        """Answer a row, or let it fail.

        :param row: the decoded line.
        :param extra: traits beyond those of the mix and the rules.
        :param identity: see `identity_of`; computed if it is empty and a rule needs it.
        """
        if _is_done(row):  # a resumed job copies what its predecessor finished
            return Made(line)
        if self.rules and not identity:
            identity = identity_of(row)
        rules = [rule for rule in self.rules if _is_for(rule, line, identity)]
        if any(rule.never for rule in rules):
            return Made(b"", ok=False, never=True)
        failing = next((rule for rule in rules if rule.fails), None)
        code = failing.code if failing and self.failures.count(identity) < failing.fails else 0
        made, ok = self._answer(line, row, rules, extra, code)
        if any(rule.cut for rule in rules):
            made = made[: len(made) // 2]
        copies = next((rule.copies for rule in rules if rule.copies != 1), 1)
        return Made(made, ok, failed_by_rule=code > 0 and not ok, copies=copies)

    def _answer(
        self, line: bytes, row: dict[str, Any], rules: Sequence[RowRule], extra: Sequence[Trait], code: int
    ) -> tuple[bytes, bool]:
        traits = traits_of(line, self.mix, rules, self.job_id) | frozenset(extra)
        draft = Draft(
            row=row,
            digest=hashlib.blake2b(line, digest_size=32).digest(),
            size=len(line),
            traits=traits,
            model=self.model.name,
            stamp=Stamp.now(),
            output=self.output,
            error_code=code,
            job_id=self.job_id,
        )
        answer = _ANSWER[self.model.family](draft)
        if self.model.family is Family.TEXT_EMBEDDING:
            return msgspec.json.encode({**answer.fields, "status": answer.status}), answer.ok
        return msgspec.json.encode(self._assemble(draft, answer)), answer.ok

    def _assemble(self, draft: Draft, answer: Answer) -> dict[str, Any]:
        request = draft.row["request"]
        if self.output.null_members:
            request = _with_nulls(request)
        known: dict[str, Any] = {
            "status": answer.status,
            "processed_time": draft.stamp.row,
            "request": _sorted(request),
            **answer.fields,
        }
        if known.get("response"):
            known["response"] = _sorted(known["response"])
        siblings = {key: self._sibling(value) for key, value in draft.row.items() if key not in _OUTPUT_KEYS}
        order = _ORDERS[draft.digest[31] % len(_ORDERS)]
        return siblings | {key: known[key] for key in order if key in known}

    def _sibling(self, value: object) -> object:
        if self.output.numeric_ids and isinstance(value, str) and value.isdecimal():
            return int(value)
        return value


def _is_for(rule: RowRule, line: bytes, identity: bytes) -> bool:
    if rule.contains.encode() not in line:
        return False
    return rule.share >= 1 or int.from_bytes(identity[:4]) < rule.share * (1 << 32)


def _without_nulls(value: object) -> object:
    """The value without the ``null`` members that the echo of a request may have gained."""
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value


def _sorted(value: object) -> msgspec.Raw:
    """What Vertex gives back has its keys sorted, at every depth."""
    return msgspec.Raw(msgspec.json.encode(value, order="sorted"))


def _is_done(row: Mapping[str, Any]) -> bool:
    response = row.get("response")
    return isinstance(response, dict) and bool(response) and row.get("status", "") == ""


def _with_nulls(request: Any) -> object:
    contents = request.get("contents") if isinstance(request, dict) else None
    if not isinstance(contents, list):
        return request
    return request | {
        "contents": [
            content | {"parts": [{"fileData": None, "text": None} | part for part in content["parts"]]}
            if isinstance(content, dict) and isinstance(content.get("parts"), list)
            else content
            for content in contents
        ]
    }
