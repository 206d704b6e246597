"""From an input line to an output line: what every kind of model has in common.

Everything about a row is a function of its input line and of what the scenario asks, so that a test can
compute the expected output by itself: `RowMaker.make` is that function, and it needs no server.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class RowMaker:
    """Makes the output rows of one job."""

    model: Model
    job_id: str
    mix: Mapping[Trait, float]
    rules: Sequence[RowRule]
    output: Output

    def make(self, line: bytes, row: dict[str, Any], extra: Sequence[Trait] = ()) -> tuple[bytes, bool]:
        """The output line, and whether the row succeeded.

        :param row: the decoded line.
        :param extra: traits beyond those of the mix and the rules.
        """
        if _is_done(row):  # a resumed job copies what its predecessor finished
            return line, True
        traits = traits_of(line, self.mix, self.rules, self.job_id) | frozenset(extra)
        draft = Draft(
            row=row,
            digest=hashlib.blake2b(line, digest_size=32).digest(),
            size=len(line),
            traits=traits,
            model=self.model.name,
            stamp=Stamp.now(),
            output=self.output,
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

    def _sibling(self, value: Any) -> Any:
        if self.output.numeric_ids and isinstance(value, str) and value.isdecimal():
            return int(value)
        return value


def _sorted(value: Any) -> msgspec.Raw:
    """What Vertex gives back has its keys sorted, at every depth."""
    return msgspec.Raw(msgspec.json.encode(value, order="sorted"))


def _is_done(row: Mapping[str, Any]) -> bool:
    response = row.get("response")
    return isinstance(response, dict) and bool(response) and row.get("status", "") == ""


def _with_nulls(request: Any) -> Any:
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
