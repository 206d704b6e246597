"""The prices of a job: from its spec, the price files, the proxy and the package, in that order."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from vertex_batch.errors import TransientError
from vertex_batch.inputs import group_of
from vertex_batch.pricing import PriceBook, PriceSource, SpecPrices, from_proxy, price_folder

SpecJob = tuple[str, str]
SpecJobPrices = Mapping[SpecJob, Mapping[str, Any] | None]
log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from vertex_batch.costs import JobFacts
    from vertex_batch.pricing.proxy import PriceClient


class PricesUnreadableError(TransientError):
    """A requested price list cannot be read; other lists would give other amounts."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        reasons = "; ".join(self.problems)
        super().__init__(f"Nothing was repriced: {reasons}. No bill was changed. A retry may succeed.")

    def __reduce__(self) -> tuple[type[PricesUnreadableError], tuple[tuple[str, ...]]]:
        return type(self), (self.problems,)


class Books(Protocol):
    """Returns the price book of each job. If it lacks the prices of the job's spec, the bill's are kept."""

    def book_of(self, job: JobFacts) -> PriceBook: ...


class OneBook:
    """The same prices for every job, such as a price map of another date."""

    def __init__(self, source: PriceSource) -> None:
        self._book = PriceBook([source])

    def book_of(self, job: JobFacts) -> PriceBook:
        del job
        return self._book


class PriceBooks:
    """The prices in force today, as a recording uses them.

    :param client: the proxy; None: after the files come only the packaged prices.
    :param folder: price files for all specs; the folder may be missing.
    :param of_specs: the known prices of specs, by `spec_job`.
    """

    def __init__(
        self,
        client: PriceClient | None = None,
        folder: Path | str | None = None,
        of_specs: SpecJobPrices | None = None,
    ) -> None:
        self._client, self._folder = client, Path(folder) if folder else None
        self._of_specs = of_specs or {}
        self._lists: list[PriceSource] | None = None
        self._books: dict[SpecJob, PriceBook] = {}

    def book_of(self, job: JobFacts) -> PriceBook:
        """The book of a job.

        :raises ConfigurationError: a price file is wrong.
        """
        key = spec_job(job)
        if key not in self._books:
            today = datetime.now(UTC).date()
            spec = [SpecPrices(self._of_specs[key], today)] if key in self._of_specs else []
            self._books[key] = PriceBook([*spec, *self._all_jobs()])
        return self._books[key]

    def check(self) -> None:
        """Check that all lists can be read, so that no bill is changed with only some of them.

        :raises PricesUnreadableError: a list cannot be read.
        """
        problems = [source.problem for source in self._all_jobs() if source.problem and not len(source)]
        if problems:
            raise PricesUnreadableError(problems)

    def _all_jobs(self) -> list[PriceSource]:
        if self._lists is None:
            folder = self._folder if self._folder and self._folder.is_dir() else None
            self._lists = [*(price_folder(folder) if folder else ()), *from_proxy(self._client)]
        return self._lists


def spec_job(job: JobFacts) -> SpecJob:
    """The spec of a job and the job's name in it (its task group; empty if it has none)."""
    return job.spec, group_of(job.task_id)
