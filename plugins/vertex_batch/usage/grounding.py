"""``groundingMetadata`` -> what a row searched, each source counted as Google bills it.

Sources: ``GroundingMetadata`` of the Vertex AI v1 discovery document; Google's price list, which has separate
prices for Google Search (Gemini 3: each distinct query that is not empty; Gemini 2.x: each grounded prompt),
Google Maps, web search for enterprises, and the caller's own data.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
from msgspec import UNSET, Raw, UnsetType

from vertex_batch.usage.rows import Candidate, camel, decode_anything
from vertex_batch.usage.types import Kind

# Fields of the metadata by what they say; camelCase, as `camel` makes of either spelling.
_LISTS_OF_QUERIES = ("webSearchQueries", "imageSearchQueries")
_NO_SOURCE = frozenset({"groundingSupports", "retrievalMetadata", "sourceFlaggingUris", "groundingChunks"})
_SEARCHED = frozenset({*_LISTS_OF_QUERIES, "searchEntryPoint"})
_MAPS = frozenset({"googleMapsWidgetContextToken"})
_DATA = frozenset({"retrievalQueries"})
_CHUNKS = {
    "web": Kind.SEARCH_QUERY,
    "image": Kind.SEARCH_QUERY,
    "maps": Kind.MAPS_GROUNDING,
    "retrievedContext": Kind.DATA_GROUNDING,
}
_ENTERPRISE_TOOL = "enterpriseWebSearch"


@dataclass(slots=True)
class Grounding:
    """What a row was grounded in.

    :param queries: distinct queries of Google Search that are not empty.
    :param prompts: the other sources; each is billed once for a row.
    """

    queries: int = 0
    prompts: list[Kind] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def pays_for_its_input(self) -> bool:
        """Whether the price of the search includes the tokens that it found."""
        return bool(self.queries) or any(kind is not Kind.DATA_GROUNDING for kind in self.prompts)


def read_grounding(candidates: list[Candidate | None] | None, request: Raw | UnsetType) -> Grounding | None:
    """Read what all candidates of a row searched; None if they searched nothing.

    :param request: of the row. Only it distinguishes a web search for enterprises from Google Search.
    """
    queries: dict[str, set[str]] = {name: set() for name in _LISTS_OF_QUERIES}
    sources: set[Kind] = set()
    unknown: set[str] = set()
    for candidate in candidates or ():
        metadata = candidate and (candidate.grounding or candidate.grounding_snake)
        if isinstance(metadata, dict):
            _read_metadata(metadata, queries, sources, unknown)
    if not sources:
        return None
    found = Grounding(
        notes=[f"the grounding has a field that is not known here: {name!r}" for name in sorted(unknown)]
    )
    listed = sum(len(of_list) for of_list in queries.values())
    if Kind.SEARCH_QUERY in sources and _has_enterprise_search(request):
        sources.remove(Kind.SEARCH_QUERY)
        sources.add(Kind.ENTERPRISE_SEARCH)
    elif Kind.SEARCH_QUERY in sources:
        found.queries = listed or 1
        if not listed:
            found.notes.append("the row was grounded by a search but lists no query; one was counted")
    found.prompts = sorted(sources - {Kind.SEARCH_QUERY})
    return found


def _read_metadata(
    metadata: dict[str, object], queries: dict[str, set[str]], sources: set[Kind], unknown: set[str]
) -> None:
    here: set[Kind] = set()
    for name, value in metadata.items():
        key = camel(name)
        if not value:
            continue
        if key in _LISTS_OF_QUERIES:
            asked = (
                {str(query).strip() for query in value if query} if isinstance(value, list) else {str(value)}
            )
            queries[key] |= asked - {""}
        elif key == "groundingChunks":
            here |= _chunk_sources(value, unknown)
        elif key in _MAPS:
            here.add(Kind.MAPS_GROUNDING)
        elif key in _DATA:
            here.add(Kind.DATA_GROUNDING)
        elif key not in _NO_SOURCE | _SEARCHED:
            unknown.add(key[:40])
            here.add(Kind.OTHER_GROUNDING)
    searched = any(value for name, value in metadata.items() if camel(name) in _SEARCHED)
    # Answers that were grounded in Google Maps alone list their queries as web search queries, too.
    if searched and here - {Kind.OTHER_GROUNDING} != {Kind.MAPS_GROUNDING}:
        here.add(Kind.SEARCH_QUERY)
    sources |= here


def _chunk_sources(chunks: object, unknown: set[str]) -> set[Kind]:
    found: set[Kind] = set()
    for chunk in chunks if isinstance(chunks, list) else ():
        for name, source in chunk.items() if isinstance(chunk, dict) else ():
            if source and (kind := _CHUNKS.get(camel(name))):
                found.add(kind)
            elif source:
                unknown.add(f"groundingChunks.{name[:40]}")
                found.add(Kind.OTHER_GROUNDING)
    return found


def _has_enterprise_search(request: Raw | UnsetType) -> bool:
    if request is UNSET:
        return False
    try:
        asked = decode_anything(request)
    except msgspec.DecodeError:
        return False
    tools = asked.get("tools") if isinstance(asked, dict) else None
    named = {camel(name) for tool in tools or () if isinstance(tool, dict) for name in tool}
    return _ENTERPRISE_TOOL in named
