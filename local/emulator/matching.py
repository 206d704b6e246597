"""Whether a scenario or a fault applies to a job."""

from __future__ import annotations

import re
from functools import lru_cache

from .script import JobFacts, Match


@lru_cache(maxsize=1024)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in text.split("*")), re.DOTALL)


def like(pattern: str, text: str) -> bool:
    """Whether a text is what a pattern with ``*`` says; the empty pattern accepts all."""
    return not pattern or _pattern(pattern).fullmatch(text) is not None


def applies(match: Match, facts: JobFacts | None) -> bool:
    """Whether a match accepts a job. A call that is about no job (None) fits only the empty match."""
    if facts is None:
        return match == Match()
    return (
        like(match.display_name, facts.display_name)
        and like(match.model, facts.model)
        and (not match.input_uri or any(like(match.input_uri, uri) for uri in facts.input_uris))
        and all(key in facts.labels and like(value, facts.labels[key]) for key, value in match.labels.items())
    )
