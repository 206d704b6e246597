"""Common mistakes in URIs and labels, with the suggested correction. Pure."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import parse_qs, unquote, urlsplit

from vertex_batch.specs.problems import did_you_mean
from vertex_batch.specs.run_dates import TEMPLATE_DATES
from vertex_batch.specs.templates import NAMES_INSTEAD, TEMPLATE_PART, is_template

_RAW = re.compile(r"\{%[-+]?\s*raw\b")
_STRFTIME = r"%[-]?[YmdHMSjpyIZF]"
_FOREIGN = re.compile(
    r"(?P<dollar>\$\{[^{}]*\}|\$\([^()]*\)|\$[A-Za-z_]\w*)"
    r"|(?P<percent>%\(\w+\)[sdif])"
    # `%d0` and the like are the percent-encoding of a byte.
    rf"|(?P<strftime>(?!%d[0-9a-fA-F]){_STRFTIME}(?:[-_/.:T ]?{_STRFTIME})*(?![a-z]))"
    r"|(?P<named>\[\[ *[A-Za-z_][\w.-]* *\]\]|<[A-Za-z_][\w.-]*>|@[A-Za-z_]\w*@)"
    r"|(?P<letters>YYYY[-_/]?MM(?:[-_/]?DD)?|yyyy[-_/]?MM(?:[-_/]?dd)?)"
    r"|(?P<brace>\{\{?[^{}]*\}|[{}])"
)
_WORD = re.compile(r"[A-Za-z_][\w.-]*")
_DAY = "run_date"
_DATE_WORDS = {
    **NAMES_INSTEAD,
    **{name: name for name in TEMPLATE_DATES},
    **dict.fromkeys(("date", "day", "today", "dt", "now", "rundate"), _DAY),
    "yesterday": "previous_run_date",
    "tomorrow": "next_run_date",
    "month": "run_month",
    "hour": "run_hour",
    "timestamp": "run_timestamp",
}
_FORMATS = {
    "%Y-%m-%d": "{{ run_date }}",
    "%F": "{{ run_date }}",
    "%Y%m%d": "{{ run_date | replace('-', '') }}",
    "%Y/%m/%d": "{{ run_date | replace('-', '/') }}",
    "%Y_%m_%d": "{{ run_date | replace('-', '_') }}",
    "%Y-%m": "{{ run_month }}",
    "%Y%m": "{{ run_month | replace('-', '') }}",
    "%Y/%m": "{{ run_month | replace('-', '/') }}",
    "%H": "{{ run_hour }}",
    "%Y%m%dT%H%M%S": "{{ run_timestamp }}",
}
_BESIDE_SLASH = re.compile(r"\s+/\s*|/\s+")
_STORAGE_HOSTS = ("storage.googleapis.com", "storage.cloud.google.com", "storage.mtls.cloud.google.com")
_CONSOLE = "console.cloud.google.com"
_INVISIBLE = frozenset({"Cc", "Cf", "Zl", "Zp"})


def placeholder_problem(text: str) -> str | None:
    """Report a placeholder of another system, and what to write instead; None if there is none."""
    if _RAW.search(text):
        return "contains `{% raw %}`, which disables templates: remove it, and use `{{ run_date }}`"
    found = _FOREIGN.search(TEMPLATE_PART.sub(lambda part: " " * len(part[0]), text))
    if found is None:
        return None
    if found["brace"] and "," in found["brace"]:
        return f"`{found['brace'][:80]}` is not a wildcard: use one URI for each of them"
    if letters := found["letters"]:
        better = _FORMATS.get(
            re.sub("(?i)d+", "%d", letters.replace("MM", "%m").lower().replace("yyyy", "%Y"))
        )
    else:
        better = _FORMATS.get(found["strftime"]) if found["strftime"] else _template_for(found[0])
    return f"`{found[0][:80]}` is not a template here: use `{better or '{{ run_date }}'}`"


def _template_for(placeholder: str) -> str:
    """Return the template that corresponds to a placeholder."""
    formatted = re.search(rf"{_STRFTIME}(?:[-_/.:T]?{_STRFTIME})*", placeholder)
    if formatted and (known := _FORMATS.get(formatted[0])):
        return known
    word = _WORD.search(placeholder)
    if word is None:
        return "{{ run_date }}"
    name = re.sub(r"[.-]", "_", word[0].lower())
    if name == "ds_nodash":
        return "{{ run_date | replace('-', '') }}"
    if name in _DATE_WORDS:
        return f"{{{{ {_DATE_WORDS[name]} }}}}"
    if near := re.search(r"`(\w+)`", did_you_mean(name, TEMPLATE_DATES)):
        return f"{{{{ {near[1]} }}}}"
    return f"{{{{ var.value.{name} }}}}` for the Airflow variable `{name}"


def blank_problem(text: str) -> str | None:
    """Report blanks at the ends of a string, or an invisible character; None if it has neither."""
    hidden = next((char for char in text if unicodedata.category(char) in _INVISIBLE), None)
    if hidden is not None:
        clean = "".join(char for char in text if unicodedata.category(char) not in _INVISIBLE).strip()
        name = unicodedata.name(hidden, "a line break or another control character").lower()
        return (
            f"contains an invisible or control character (U+{ord(hidden):04X}, {name}): use `{clean[:200]}`"
        )
    if text != text.strip():
        return f"begins or ends with a blank: use `{_BESIDE_SLASH.sub('/', text.strip())[:200]}`"
    plain = TEMPLATE_PART.sub(lambda part: "x" * len(part[0]), text)
    if "://" in text and _BESIDE_SLASH.search(plain):
        return f"has a blank beside a slash: use `{_BESIDE_SLASH.sub('/', text)[:200]}`"
    return None


def place_suggestion(text: str) -> str | None:
    """Return the URI that was probably meant; None if that is unclear."""
    if match := re.fullmatch(r"(?P<scheme>gs|bq):/*(?P<rest>[^/\s:].*)", text, re.IGNORECASE):
        return f"{match['scheme'].lower()}://{match['rest']}"
    try:
        url = urlsplit(text)
        host = url.hostname or ""
    except ValueError:
        return None
    if url.scheme.lower() not in {"http", "https"}:
        return None
    path = unquote(url.path).strip("/")
    if host == _CONSOLE:
        return _of_console(path, url.query)
    if host in _STORAGE_HOSTS:
        api = re.fullmatch(r"(?:download/)?storage/v1/b/(?P<bucket>[^/]+)/o/(?P<name>.+)", path)
        return f"gs://{api['bucket']}/{api['name']}" if api else f"gs://{path}" if path else None
    bucket = host.removesuffix(".storage.googleapis.com")
    return f"gs://{bucket}/{path}" if bucket != host else None


def _of_console(path: str, query: str) -> str | None:
    """Read the address of a page of Google's console: its browser of buckets, or a BigQuery table."""
    if path.startswith("bigquery"):
        named = [parse_qs(query).get(key, [""])[0] for key in ("p", "d", "t")]
        return f"bq://{'.'.join(named)}" if all(named) else None
    place = re.fullmatch(r"storage/browser/(?:_details/)?(?P<place>[^;]+)(?:;.*)?", path)
    return f"gs://{place['place']}" if place else None


def bucket_suggestion(bucket: str) -> str | None:
    """Return the bucket name that was probably meant; None if there is none."""
    return re.sub(r"[\s]+", "-", bucket.strip()).lower() if bucket.strip() else None


def label_suggestion(text: str) -> str:
    """Suggest the nearest valid label: ``; did you mean `support-team`?``, or nothing."""
    near = re.sub(r"[^\w-]+", "-", text.strip().lower()).strip("-")[:63]
    return f"; did you mean `{near}`?" if near and not is_template(text) else ""
