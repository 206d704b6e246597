"""Token counts as rows state them, split by modality. Pure; every rule has a named test."""

from __future__ import annotations

from vertex_batch.usage.rows import Count, Details
from vertex_batch.usage.types import CacheTtl, Kind, Modality, Unit

MAX_COUNT = 2**31 - 1  # the API's counters are int32
MODALITIES = tuple(Modality)
TEXT = MODALITIES.index(Modality.TEXT)

# A slot is the place of one (kind, modality, ttl) in a flat list of sums: adding to a list is what
# keeps the scan fast.
SLOTS: tuple[tuple[Kind, Modality, CacheTtl], ...] = (
    *(
        (kind, modality, CacheTtl.NONE)
        for kind in Kind
        for modality in (MODALITIES if kind.unit is Unit.TOKEN else (Modality.TEXT,))
        if kind != Kind.CACHE_WRITE
    ),
    (Kind.CACHE_WRITE, Modality.TEXT, CacheTtl.FIVE_MINUTES),
    (Kind.CACHE_WRITE, Modality.TEXT, CacheTtl.ONE_HOUR),
)
_TEXT_NAMES = frozenset({"TEXT", "MODALITY_UNSPECIFIED", ""})
_MODALITY_INDEX = {modality.name: index for index, modality in enumerate(MODALITIES)}
# By the numbers of Google's enum: unspecified, text, image, video, audio, document.
_ENUM = (TEXT, *(_MODALITY_INDEX[name] for name in ("TEXT", "IMAGE", "VIDEO", "AUDIO", "DOCUMENT")))


class BadCountError(ValueError):
    """Impossible counts. Such a row is unreadable; it is not billed by a guess."""


def slot(kind: Kind, ttl: CacheTtl = CacheTtl.NONE) -> int:
    """The slot of a kind's text; the other modalities follow in the order of `Modality`."""
    return SLOTS.index((kind, Modality.TEXT, ttl))


def count(value: Count, other: Count = None) -> int | None:
    """Read a counter that may be a number or a string; `other` is the same under its other name."""
    if type(value) is int:
        if 0 <= value <= MAX_COUNT:
            return value
    elif value is None:
        return None if other is None else count(other)
    elif type(value) is str:
        if value.isascii() and value.isdecimal():
            return count(int(value.lstrip("0")[:12] or "0"))
    elif type(value) is float and value.is_integer():
        return count(int(value))
    raise BadCountError(f"a token count of {str(value)[:20]!r} is not possible")


def by_modality(
    total: int | None, details: Details, what: str, notes: list[str]
) -> tuple[int, list[int] | None]:
    """Split a count by modality: the count, and its parts, or None where all of it is text.

    The count wins over its details: what they do not explain is text, and the row is noted.
    """
    if not details:
        return total or 0, None
    first = details[0]
    if len(details) == 1 and first.modality == "TEXT" and first.count == total and type(total) is int:
        return total, None
    parts = [0] * len(MODALITIES)
    for detail in details:
        parts[_modality(detail.modality, notes)] += count(detail.count, detail.count_snake) or 0
    stated = sum(parts)
    if total is None:
        if stated:
            notes.append(f"the {what} count is missing; its details were taken")
        return stated, parts
    if stated != total:
        notes.append(f"the {what} details do not add up to the count; the rest was taken as text")
        rest = total - (stated - parts[TEXT])
        if rest < 0:
            return total, None
        parts[TEXT] = rest
    return total, parts


def without_cached(prompt: list[int], cached: list[int], notes: list[str]) -> tuple[list[int], list[int]]:
    """Take the cached tokens out of the prompt, modality by modality: (uncached, cached).

    Where a modality has more cached than prompt tokens, the surplus is taken from the others, so that the
    sums stay those of the counts.
    """
    fitting = [min(c, p) for c, p in zip(cached, prompt, strict=True)]
    surplus = sum(cached) - sum(fitting)
    if surplus:
        notes.append("the cached details do not fit the prompt details; the surplus was spread")
        for index, (inside, of) in enumerate(zip(fitting, prompt, strict=True)):
            moved = min(surplus, of - inside)
            fitting[index] += moved
            surplus -= moved
    return [p - c for p, c in zip(prompt, fitting, strict=True)], fitting


def _modality(name: object, notes: list[str]) -> int:
    if name is None:
        return TEXT
    if type(name) is int and 0 <= name < len(_ENUM):  # the enum's number, as some writers have it
        return _ENUM[name]
    if type(name) is str:
        upper = name.upper()
        if upper in _TEXT_NAMES:
            return TEXT
        if (index := _MODALITY_INDEX.get(upper)) is not None:
            return index
    notes.append(f"the modality {str(name)[:30]!r} is not known; its tokens were taken as text")
    return TEXT
