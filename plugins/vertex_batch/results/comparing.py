"""What a manifest says of a delivery, and whether another delivery may replace it. Pure."""

from __future__ import annotations

from typing import Self

import msgspec

from vertex_batch.results.types import Reason


class Earlier(msgspec.Struct, frozen=True):
    """A delivery of another input that was at the address before, and has been moved beside it.

    :param answers: where its answers are now.
    """

    answers: str
    dag_id: str = ""
    run_id: str = ""
    delivered: int = 0


class Manifest(msgspec.Struct, frozen=True):
    """What the manifest of a delivery says, as far as it decides whether another one may replace it.

    :param run_id: empty for a delivery of the command line.
    :param run_date: the day of the run; empty for deliveries of older versions.
    :param input_is_chosen: the run was triggered with another input than its spec names.
    :param input_digest: of the input's rows, see `JoinedRows`; empty for deliveries of older versions.
        Likewise `input_uris_digest`, of the names of its objects.
    :param rewritten_objects: of the input, written again after the jobs were created, so that the jobs may
        have read other rows.
    :param other_prompts: answers to another prompt than their input row has.
    :param retry_of: the earlier run whose rows its run has sent again; empty for an ordinary run.
    :param earlier: the delivery of another input that was here before.
    """

    dag_id: str = ""
    run_id: str = ""
    run_date: str = ""
    input_is_chosen: bool = False
    input_digest: str = ""
    input_uris_digest: str = ""
    rewritten_objects: int = 0
    other_prompts: int = 0
    delivered: int = 0
    exceptions: int = 0
    exceptions_by_reason: dict[str, int] = {}
    retry_of: str = ""
    jobs: list[str] = []
    earlier: Earlier | None = None

    @classmethod
    def read(cls, content: bytes | None) -> Self | None:
        """Parse a manifest; None if there is none, or if it was written by something else."""
        try:
            return msgspec.json.decode(content or b"", type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None

    @property
    def run(self) -> tuple[str, str]:
        """The run that has made the delivery, as the DAG and the run."""
        return self.dag_id, self.run_id

    @property
    def is_whole(self) -> bool:
        """Whether the jobs have returned every input row, so that the run was not cut short."""
        return self.delivered > 0 and not self.exceptions_by_reason.get(Reason.MISSING)

    @property
    def is_of_changed_input(self) -> bool:
        """Whether the jobs have probably read other rows than those that their answers were joined to."""
        return bool(self.rewritten_objects or self.other_prompts)

    def has_other_input(self, other: Manifest) -> bool:
        """Whether another delivery has other input rows. False if that is not known."""
        return bool(self.input_digest and other.input_digest and self.input_digest != other.input_digest)

    def __str__(self) -> str:
        owner = f"the delivery of the run {self.run_id}" if self.run_id else "a delivery of the command line"
        return f"{owner}, which has {self.delivered:,} answers"


def why_kept(earlier: Manifest | None, new: Manifest) -> str | None:
    """Explain why a delivery is not replaced by another one; None if it may be replaced.

    A delivery of the same jobs and more contains every answer of the earlier one, as far as today's settings
    accept it: the same run's again, or one that has sent rows of the earlier run again. An address without
    the date has the latest day whose jobs have returned every row. The answers to another input are compared
    by whether they are complete, and not by their number; see `must_stay`.

    :param earlier: what is at the address; None if there is none that can be read.
    """
    if earlier is None:
        return None
    has_other_input = new.has_other_input(earlier)
    if not has_other_input and _contains(new, earlier):
        return None
    if new.input_is_chosen and not earlier.input_is_chosen:
        return "this run was triggered with another input than its spec names"
    if earlier.run_date and new.run_date:  # they differ only where the address has no date
        if new.run_date < earlier.run_date:
            return f"this one is of an earlier day, {new.run_date} and not {earlier.run_date}"
        if new.run_date > earlier.run_date and new.is_whole:
            return None
    why = _why_worse(earlier, new, 1 if has_other_input else earlier.delivered)
    if has_other_input and not new.run_id:
        why = why or "a person decides whether it is still needed"
    return f"it has the answers to another input, and {why}" if why and has_other_input else why


def _why_worse(earlier: Manifest, new: Manifest, wanted: int) -> str | None:
    """Explain why a delivery is worse than an earlier one; None if it is not.

    :param wanted: how many answers it needs.
    """
    if new.is_of_changed_input and not earlier.is_of_changed_input:
        return "the input was changed after the jobs of this one were created"
    if new.delivered < wanted:
        return f"this one has only {new.delivered:,}"
    missing = new.exceptions_by_reason.get(Reason.MISSING, 0)
    is_shorter = missing and earlier.is_whole
    return f"the jobs of this one did not return {missing:,} of its rows" if is_shorter else None


def must_stay(earlier: Manifest, new: Manifest) -> bool:
    """Whether a delivery that is replaced is moved beside the new one, because it may not be made again.

    It has the answers to another input, and its own may have been overwritten. Without that, a delivery that
    was replaced is made again by its run's task. So is that of an earlier day whose input has other names.
    """
    is_of_later_day = bool(earlier.run_date) and earlier.run_date < new.run_date
    has_own_input = is_of_later_day and earlier.input_uris_digest != new.input_uris_digest
    return new.has_other_input(earlier) and not (has_own_input and new.is_whole)


def _contains(new: Manifest, earlier: Manifest) -> bool:
    """Whether a delivery was made of all jobs of an earlier one. The command line knows no jobs."""
    return set(earlier.jobs) <= set(new.jobs) if earlier.jobs else earlier.run == new.run
