"""How the pages write names, states, dates, rates and addresses; `numbers` writes amounts and counts."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from urllib.parse import quote, urlencode

from vertex_batch.costs import COMMAND_LINE, Delivery, JobFacts, RowCounts, Total, exact, per_million
from vertex_batch.costs.deliveries import DeliverySums
from vertex_batch.errors import count_of
from vertex_batch.observability import links
from vertex_batch.observability.links import storage_url  # noqa: F401 - for the templates
from vertex_batch.pricing import Basis, LineItem
from vertex_batch.results import Reason
from vertex_batch.ui import numbers
from vertex_batch.ui.running.submissions import SubmittedJob
from vertex_batch.usage import Unit
from vertex_batch.vertex.names import JobId
from vertex_batch.vertex.names import short_model as model  # noqa: F401 - for the templates
from vertex_batch.vertex.resource import DELETED

MANY_FAILED = Decimal("0.05")
"""From this share of failed rows on, a page shows them as a problem."""
_SENTENCE_END = re.compile(r"[.!?](?= [A-Z`])")
_STATES = {"": "unknown", "ENDED": "finished, bill pending"}
_BASES = {
    Basis.BATCH_RATE: "batch rate",
    Basis.DERIVED_HALF_OF_STANDARD: "half of the standard rate",
    Basis.DERIVED_FOUR_FIFTHS_OF_STANDARD: "four fifths of the standard rate",
    Basis.STANDARD_CACHE_RATE: "standard cache rate",
    Basis.SPEC: "set in the spec",
}


def at_least(total: Total) -> str:
    return "" if total.complete else "at least "


def usd(total: Total) -> str:
    """Write a sum in a text: ``at least 12.50 USD``."""
    return f"{at_least(total)}{numbers.amount(total)} USD"


def state(name: str) -> str:
    return _STATES.get(name) or name.replace("_", " ").lower()


def is_many_failed(rows: RowCounts, many: Decimal = MANY_FAILED) -> bool:
    """Whether so many rows failed, or so many cannot be read, that a person should know.

    :param many: from which share on.
    """
    bad = rows.failed + rows.not_counted
    return bad > 0 and Decimal(bad) / rows.total >= many


def is_many_unanswered(found: Delivery | DeliverySums, many: Decimal = MANY_FAILED) -> bool:
    """Whether so many rows of a delivery have no good answer that a person should know."""
    return found.exceptions > 0 and Decimal(found.exceptions) / found.input_rows >= many


def tone(name: str, rows: RowCounts | None = None, many: Decimal = MANY_FAILED) -> str:
    """Return the color class of a state: ``good``, ``warn``, ``bad``, ``active`` or ``plain``.

    :param rows: of the job. A partial success with few failed rows is good.
    :param many: from which share of failed rows on they are many.
    """
    if name == "PARTIALLY_SUCCEEDED":
        return "good" if rows and not is_many_failed(rows, many) else "warn"
    if name == "SUCCEEDED":
        return "good"
    if name in ("RUNNING", "PENDING", "QUEUED", "CANCELLING", "UPDATING"):
        return "active"
    return "bad" if name in ("FAILED", "EXPIRED", DELETED) else "plain"


def moment(when: datetime | None, *, seconds: bool = False) -> str:
    if when is None:
        return ""
    clock = f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    return f"{clock if seconds else clock[:-3]} UTC"


def day(when: date) -> str:
    """Write a day with its weekday: ``Sat 21 Nov 2026``."""
    return f"{when:%a %-d %b %Y}"


def span(since: date, until: date) -> str:
    """Write a period: ``1 to 22 Nov 2026``."""
    if since == until:
        return f"{until:%-d %b %Y}"
    form = "%-d %b %Y" if since.year != until.year else "%-d" if since.month == until.month else "%-d %b"
    return f"{since.strftime(form)} to {until:%-d %b %Y}"


def group(name: object, by: str) -> str:
    """Write the name of a spec, team, model or kind of tokens."""
    text = str(name or "none")
    return text.replace("_", " ") if by == "kind" else text


def is_of_command_line(job: JobFacts) -> bool:
    return job.run_type == COMMAND_LINE


def ranges(today: date) -> list[tuple[str, date]]:
    """Common periods: name and first day. Each ends today."""
    days = [(f"{n} days", today - timedelta(n - 1)) for n in (7, 30, 90)]
    return [*days, ("this month", today.replace(day=1)), ("this year", today.replace(month=1, day=1))]


def what(item: LineItem) -> str:
    """Describe what a line item counts: ``output, text, long context``."""
    words = [item.kind.value]
    if item.unit is Unit.TOKEN:
        words.append(item.modality.value)
    if item.tier != "standard":
        words.append(item.tier.value)
    return ", ".join([*words, *filter(None, [item.cache_ttl.value])]).replace("_", " ")


def rate(item: LineItem) -> str:
    """Write a rate like price lists do: USD per million tokens or characters, or per query or prompt."""
    if item.unit_price_usd is None:
        return ""
    if item.unit in (Unit.TOKEN, Unit.CHARACTER):
        return f"{per_million(item.unit_price_usd)} / M {item.unit}s"
    return f"{exact(item.unit_price_usd)} / {item.unit}"


def basis(item: LineItem) -> str:
    return _BASES[item.basis] if item.basis else ""


def explain_truncated(reasons: Mapping[str, int]) -> str:
    """Say why answers were cut, and what to change; empty if none was.

    :param reasons: the rows without a good answer, by reason.
    """
    cut = reasons.get(Reason.TRUNCATED, 0)
    if not cut:
        return ""
    return (
        f"{count_of(cut, 'row was', 'rows were')} cut at `maxOutputTokens`. Raise `maxOutputTokens`. Thoughts"
        " count as output: if the rows allow them, limit them with `thinkingBudget`."
    )


def answers(count: int) -> str:
    """Begin a sentence about delivered answers."""
    return count_of(count, "answer was", "answers were")


def shortened(text: str, length: int) -> str:
    """Return as many whole sentences of the first line of a text as fit, or else its first words."""
    line = text.partition("\n")[0]
    if len(line) <= length:
        return line if line == text else f"{line} …"
    end = max((each.end() for each in _SENTENCE_END.finditer(line) if each.end() <= length), default=0)
    return f"{line[:end] if end else line[:length].rpartition(' ')[0]} …"


def get_command(uri: str) -> str:
    """The command that copies a file to the folder in which it is run."""
    return shlex.join(["vertex-batch", "get", uri, "."])


def console_url(job: JobFacts | SubmittedJob) -> str:
    """Link to Google's page of the job; empty where nothing is at Google."""
    return links.console_url(JobId(job.project, job.location, job.job_id))


def query(**values: object) -> str:
    """Write the query of an address, without empty values."""
    return urlencode({name: value for name, value in values.items() if value not in ("", None)})


def path(text: str) -> str:
    return quote(text, safe="")
