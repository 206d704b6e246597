"""The findings of a pre-flight: each says where it is, what happens to the job, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from vertex_batch.errors import PermanentError, count_of, scrub
from vertex_batch.preflight.keys import lacking_keys, repeated_keys

MAX_FINDINGS = 20
"""More kinds than a person fixes at once; the rest is only counted."""


class Mode(StrEnum):
    """The pre-flight mode of a spec."""

    STRICT = "strict"
    WARN = "warn"
    OFF = "off"


class Severity(StrEnum):
    """What a finding does to the job."""

    JOB = "job"
    """Vertex fails the whole job: no row is answered."""
    ROW = "row"
    """That row fails; the others are answered."""
    NO_KEY = "no_key"
    """The row does not have the field that `results.key` names: its answer is delivered without a key."""
    REPEATED_KEY = "repeated_key"
    """The row has the key of an earlier row, so the key does not identify its answer. It stops nothing."""
    DOUBT = "doubt"
    """It may be wrong, or could not be checked. It never stops a submission."""


_UNANSWERED = "Vertex would not answer any row of this job"
_UNNAMED = "no answer of this job would be delivered with its key"
_EXCEEDED = "more rows are certain to fail than the run allows"
_REFUSED = "The pre-flight found that {why}. Nothing was submitted and nothing was spent."
_REMEDY = "Fix the input and run this again; a retry fails the same way until then."
_ANYWAY = "To submit the job anyway, set `preflight: warn` in the spec."
_KEY_REMEDY = (
    "Correct `results.key` in the spec, or the rows, and run this again; a retry fails the same way until"
    " then. Without `results.key`, answers are joined by their requests."
)
_EXCEEDED_REMEDY = (
    "Nothing was submitted and nothing was spent. Correct these rows or raise the limit, and run this again;"
    f" a retry fails the same way until then. {_ANYWAY}"
)
_OUTCOME = {
    Severity.JOB: "fails the whole job",
    Severity.ROW: "this row fails",
    Severity.NO_KEY: "its answer is delivered without a key",
    Severity.REPEATED_KEY: "its key does not identify its answer",
    Severity.DOUBT: "may be wrong",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem to fix, wherever it is.

    :param place: the first: ``URI:LINE``, or another subject, such as ``model``.
    :param path: the key within the row, such as ``request.tools[].googleSearch``; empty for the whole row.
    :param times: at how many places it is.
    """

    severity: Severity
    place: str
    message: str
    path: str = ""
    times: int = 1

    def __str__(self) -> str:
        if self.severity is Severity.REPEATED_KEY:
            return scrub(repeated_keys(self.path, self.times, self.place, self.message))
        others = f"; the same in {self.times - 1:,} more" if self.times > 1 else ""
        return scrub(f"{self.place}: {self.what} ({_OUTCOME[self.severity]}{others})")

    @property
    def what(self) -> str:
        """The key within the row, if there is one, and what is wrong."""
        message = f"is missing or empty; {self.message}" if self.severity is Severity.NO_KEY else self.message
        return f"{self.path}: {message}" if self.path else message

    def is_like(self, other: Finding) -> bool:
        """Whether it is the same problem, perhaps at another place."""
        mine = (self.severity, self.path, self.message)
        return mine == (other.severity, other.path, other.message)


@dataclass(slots=True)
class Report:
    """What was checked, and what was found.

    :param findings: the first `MAX_FINDINGS` of each severity; the same problem is one of them.
    :param counts: the number of all places with a finding, by severity.
    :param bad_rows: rows that fail alone.
    :param packed: objects that are gzip.
    :param failure_limits: the largest shares of bad rows, 0 to 1, with which the run does not fail, by key.
    """

    objects: int = 0
    rows: int = 0
    size_bytes: int = 0
    bad_rows: int = 0
    packed: int = 0
    findings: list[Finding] = field(default_factory=list)
    counts: dict[Severity, int] = field(default_factory=lambda: dict.fromkeys(Severity, 0))
    failure_limits: dict[str, float] = field(default_factory=dict)

    def add(self, finding: Finding) -> None:
        """Keep a finding, or only count it if enough others of its severity are kept."""
        self.counts[finding.severity] += finding.times
        for number, kept in enumerate(self.findings):
            if kept.is_like(finding):
                self.findings[number] = replace(kept, times=kept.times + finding.times)
                return
        if sum(kept.severity is finding.severity for kept in self.findings) < MAX_FINDINGS:
            self.findings.append(finding)

    def moved(self, places: Mapping[str, str]) -> Report:
        """The same findings, at the places that some of their places stand for."""
        found = [replace(each, place=places.get(each.place, each.place)) for each in self.findings]
        return replace(self, findings=found)

    @property
    def is_hopeless(self) -> bool:
        """Whether the job would be of no use; see `why_hopeless`."""
        return bool(self.why_hopeless)

    @property
    def why_hopeless(self) -> str:
        """Why no answer would be of use, or why the run would fail anyway, as a clause; else empty."""
        if self.counts[Severity.JOB] or (self.rows and self.bad_rows >= self.rows):
            return _UNANSWERED
        if self.rows and self.counts[Severity.NO_KEY] >= self.rows:
            return _UNNAMED
        return _EXCEEDED if self._exceeded else ""

    @property
    def exceeds_limits(self) -> bool:
        """Whether some rows would be answered, but the run would certainly fail after it was paid for."""
        return self.why_hopeless == _EXCEEDED

    @property
    def _exceeded(self) -> dict[str, float]:
        """The limits that the rows that are certain to fail exceed."""
        share = self.bad_rows / self.rows if self.rows else 0
        return {name: limit for name, limit in self.failure_limits.items() if share > limit}

    @property
    def shown(self) -> list[Finding]:
        """The findings to show, the most severe first; within a severity in the order of the rows."""
        order = list(Severity)
        return sorted(self.findings, key=lambda finding: order.index(finding.severity))[:MAX_FINDINGS]

    def lines(self) -> list[str]:
        """One line for each finding that is shown, and one with the number of the others."""
        shown, first = self.shown, [self._without_keys(), self._failed_limit()]
        rest = sum(self.counts.values()) - sum(finding.times for finding in shown)
        others = (
            str(finding) for finding in shown if not first[0] or finding.severity is not Severity.NO_KEY
        )
        return [*filter(None, first), *others, *([f"and {rest:,} more"] if rest else [])]

    def _without_keys(self) -> str:
        """Say how many rows lack the key; empty if none does, or if no row would be answered."""
        without = self.counts[Severity.NO_KEY]
        found = next((finding for finding in self.findings if finding.severity is Severity.NO_KEY), None)
        if found is None or self.why_hopeless == _UNANSWERED:
            return ""
        return scrub(lacking_keys(found.path, without, self.rows, found.place, found.message))

    def _failed_limit(self) -> str:
        """Say that the run would fail after it was paid for, and why; empty if that is not certain."""
        if not self.exceeds_limits:
            return ""
        passed = self._exceeded
        named = " and ".join(f"`{name}: {limit:g}`" for name, limit in passed.items())
        first = next((each for each in self.findings if each.severity is Severity.ROW), None)
        where = f"; the first is {first.place}: {first.what}" if first else ""
        return scrub(
            f"{self.bad_rows:,} of {self.rows:,} rows ({self.bad_rows / self.rows:.2%}) are certain to fail,"
            f" more than {named} allow{'s' if len(passed) == 1 else ''}, so the run would pay for the other"
            f" rows and fail{where}"
        )

    def summary(self) -> str:
        """How much was checked, and how much of it is wrong in which way."""
        whole, doubts = self.counts[Severity.JOB], self.counts[Severity.DOUBT]
        bad = (
            f"; {self.bad_rows:,} of them {'is' if self.bad_rows == 1 else 'are'} certain to fail"
            if self.bad_rows
            else ""
        )
        if whole:
            bad += f"; {count_of(whole, 'place fails', 'places fail')} the whole job"
        if without := self.counts[Severity.NO_KEY]:
            bad += f"; {count_of(without, 'row has', 'rows have')} no key"
        if again := self.counts[Severity.REPEATED_KEY]:
            bad += f"; {count_of(again, 'row has', 'rows have')} the key of an earlier row"
        if doubts:
            bad += f"; {count_of(doubts, 'place')} may be wrong"
        rows = f"{count_of(self.rows, 'row')} in {count_of(self.objects, 'object')}"
        return f"{rows}, {self.size_bytes:,} bytes{bad}"


class PreflightError(PermanentError):
    """The job was not submitted, since no answer of it would have been of use, or its run would have failed.

    Pages show its first line, which therefore has the most severe finding.

    :param lines: see `Report.lines`.
    :param fails_whole_job: Vertex fails the job before its first row, so that submitting it is of no use.
    :param why: see `Report.why_hopeless`.
    """

    def __init__(self, lines: Sequence[str], *, fails_whole_job: bool = True, why: str = _UNANSWERED) -> None:
        self.lines, self.fails_whole_job, self.why = list(lines), fails_whole_job, why
        super().__init__(self.lines)

    @classmethod
    def of(cls, report: Report) -> PreflightError:
        """The refusal of a job with a report that is hopeless."""
        fails_whole_job = report.counts[Severity.JOB] > 0
        return cls(report.lines(), fails_whole_job=fails_whole_job, why=report.why_hopeless)

    def __str__(self) -> str:
        first, *others = self.lines
        if self.why == _EXCEEDED:
            return "\n".join([f"{first}. {_EXCEEDED_REMEDY}", *others])
        remedy = _REMEDY if self.fails_whole_job else f"{_REMEDY} {_ANYWAY}"
        remedy = _KEY_REMEDY if self.why == _UNNAMED else remedy
        return "\n".join([f"{first}. {_REFUSED.format(why=self.why)} {remedy}", *others])
