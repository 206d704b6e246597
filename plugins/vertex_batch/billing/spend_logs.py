"""Compare our bills with the spend logs of the LiteLLM proxy. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Context, Decimal
from typing import Any

from vertex_batch.billing.reconciling import JobComparison, Reconciliation
from vertex_batch.costs.bill import Bill, Total
from vertex_batch.pricing import Basis, add
from vertex_batch.pricing.exact import exact
from vertex_batch.usage import Kind, Tier
from vertex_batch.vertex.resource import STATES_WITHOUT_RESULTS

# The significant decimal digits of a double; further digits are noise.
_FLOAT = Context(prec=15)
# Where the proxy keeps the outputs that it prices (litellm_core_utils/cloud_storage_security.py).
_PRICED_FOLDER = "/litellm-vertex-files/"
# It checks once an hour (PROXY_BATCH_POLLING_INTERVAL), and needs some time for each job.
_LOOKS_WITHIN = timedelta(hours=2)
# The last LiteLLM release that prices cached tokens and long context in batches differently from us.
_LAST_WITHOUT_RATES = (1, 108)
_BATCH_ID = re.compile(r"llm_batch_id:([^;]+)")
_COST_SUFFIX = "_batch_cost"


@dataclass(slots=True)
class _Logged:
    """The proxy's record of one job, added up row by row."""

    spend: Decimal = Decimal(0)
    tokens: int = 0
    rows: int = 0

    def add(self, log: Mapping[str, Any]) -> None:
        self.spend = add((self.spend, _spend(log)))
        self.tokens += int(log.get("total_tokens") or 0)
        self.rows += 1


def against_proxy(
    bills: Iterable[Bill],
    spend_logs: Iterable[Mapping[str, object]],
    *,
    now: datetime,
    version: tuple[int, int] | None = None,
) -> Reconciliation:
    """Compare bills with the proxy's spend logs.

    :param spend_logs: rows of ``/spend/logs/v2``: request_id, spend, total_tokens, model. They are added up
        one by one; only sums are kept.
    :param now: when the rows were read.
    :param version: the proxy's release, such as (1, 106); None if it is unknown.
    """
    known = list(bills)
    ids = {bill.job.job_id for bill in known}
    logged: dict[str, _Logged] = {}
    for log in spend_logs:
        job = logged_job(str(log.get("request_id") or ""))
        if job in ids or _spend(log):
            logged.setdefault(job, _Logged()).add(log)
    jobs = [_at_the_proxy(bill, logged.pop(bill.job.job_id, None), now, version) for bill in known]
    return Reconciliation(jobs, {job: found.spend for job, found in sorted(logged.items())})


def logged_job(request_id: str) -> str:
    """The job of a cost row. The proxy writes ``BASE64(...;llm_batch_id:JOB)_batch_cost``, or the bare id."""
    text = request_id.removesuffix(_COST_SUFFIX)
    try:
        plain = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        plain = text
    found = _BATCH_ID.search(plain)
    return (found[1] if found else text).rpartition("/")[2]


def _at_the_proxy(
    bill: Bill, logged: _Logged | None, now: datetime, version: tuple[int, int] | None
) -> JobComparison:
    if logged is None:
        return JobComparison(bill, None, (why_not_priced(bill, now),))
    theirs = Total(logged.spend, complete=True)
    if not JobComparison(bill, theirs).differs:
        return JobComparison(bill, theirs)
    return JobComparison(bill, theirs, tuple(_why_litellm_differs(bill, logged, version)))


def why_not_priced(bill: Bill, now: datetime) -> str:
    """Explain why the proxy has no amount for a job, as far as the bill shows.

    LiteLLM prices a batch when its hourly check finds it complete, and only if the output is in its own
    folder (litellm_enterprise/proxy/common_utils/check_batch_cost.py).
    """
    job = bill.job
    if job.state in STATES_WITHOUT_RESULTS:
        return f"it ended as {job.state}, and usually the proxy prices only jobs that succeeded"
    if _PRICED_FOLDER not in f"{job.output_directory.rstrip('/')}/":
        return (
            f"its output is not below {_PRICED_FOLDER.strip('/')}/ in the proxy's own bucket, and the proxy"
            " prices no other output; this is the usual case"
        )
    if now - (job.end_time or bill.recorded_at) < _LOOKS_WITHIN:
        return "it has just ended, and the proxy checks once an hour; compare again later"
    return (
        "its output is in the folder that the proxy prices, but managed files may be off in the proxy, or"
        " it stopped checking after seven days"
    )


def _spend(log: Mapping[str, object]) -> Decimal:
    spend = log.get("spend")
    found = exact(spend) or Decimal(0)
    return _FLOAT.plus(found) if isinstance(spend, float) else found


def _why_litellm_differs(bill: Bill, logged: _Logged, version: tuple[int, int] | None) -> Iterator[str]:
    """Yield the known differences of LiteLLM (docs/bill.md) that apply to this bill and version."""
    ours = sum(item.tokens for item in bill.line_items if item.unit == "token")
    if logged.tokens != ours:
        yield f"tokens: {ours:,} here, {logged.tokens:,} there"
    if logged.rows > 1:
        yield f"the proxy has recorded it {logged.rows} times"
    items = [item for item in bill.line_items if item.tokens]
    if version is None or version <= _LAST_WITHOUT_RATES:
        until = "" if version else ", if it is LiteLLM {}.{} or older".format(*_LAST_WITHOUT_RATES)
        if any(i.kind is Kind.CACHED_INPUT and i.basis is Basis.STANDARD_CACHE_RATE for i in items):
            yield f"it charges cached tokens as input where no batch cache rate is listed{until}"
        if any(item.tier is Tier.LONG_CONTEXT for item in items):
            yield f"it has no long-context rates in a batch{until}"
    if any(item.basis is Basis.SPEC for item in items):
        yield "it does not know the prices of the spec"
    if bill.rows.failed:
        yield "it bills failed rows that carry usage"
    if bill.rows.copied:
        yield "it bills the rows that a resumed job copied once more"
    if not bill.total.complete:
        yield "our sum is a lower bound"
