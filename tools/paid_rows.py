"""How many rows are paid for, and how many are answered, when jobs die and rows fail: ``make paid-rows``.

Runs each case on the emulated Vertex with a real object store, with the package's own decisions and code, but
without Airflow, and prints the table of ``docs/results.md``.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from msgspec import structs

from local.emulator.admin import RowRule, Scenario, Step
from local.stack import Stack, StackOptions
from local.stack.emulator import LOCATION, PROJECT
from local.waiting import check_processes
from vertex_batch.inputs import StagingPlace, limits_for
from vertex_batch.lifecycle.waiting import Resubmission, describe, resubmission
from vertex_batch.results import JobChain, ResultSettings, RetryCollector, stage_files
from vertex_batch.storage import ObjectStorage
from vertex_batch.vertex.client import BatchClient, ProxyConfig
from vertex_batch.vertex.names import Place
from vertex_batch.vertex.request import build_request
from vertex_batch.vertex.resource import BatchPredictionJob, CreateJobRequest

BUCKET = "gs://demo-bucket"
MODEL = "gemini-2.5-flash"
ROUNDS = 2
ROLES = frozenset({"object store", "emulator", "proxy"})
_TIMELINE = [Step(state="PENDING"), Step(state="RUNNING")]


@dataclass(frozen=True)
class Case:
    """What happens to a job.

    :param finished: the share of its rows at which the first job dies; 1: it does not.
    :param failing: the share of the rows that fail once with a 503.
    """

    title: str
    finished: float = 1.0
    failing: float = 0.0

    @property
    def scenarios(self) -> list[Scenario]:
        rules = [RowRule(contains="", share=self.failing, fails=1, code=503)] if self.failing else []
        lives = Scenario(timeline=_TIMELINE, mix={}, rows=rules)
        if self.finished >= 1:
            return [lives]
        dies = structs.replace(lives, times=1, end="FAILED", error_code=13, finished=self.finished)
        return [dies, lives]


CASES = (
    Case("no fault"),
    Case("the job dies at 10 % of its rows", finished=0.1),
    Case("the job dies at 50 % of its rows", finished=0.5),
    Case("the job dies at 90 % of its rows", finished=0.9),
    Case("30 % of the rows fail once", failing=0.3),
    Case("both: dies at 50 %, 30 % fail once", finished=0.5, failing=0.3),
)


@dataclass
class Tally:
    """What a run came to."""

    jobs: int = 0
    paid: int = 0
    answered: set[str] = field(default_factory=set)

    @property
    def cells(self) -> tuple[str, ...]:
        ratio = self.paid / len(self.answered) if self.answered else 0
        return f"{self.jobs}", f"{self.paid:,}", f"{len(self.answered):,}", f"{ratio:.2f}"


class Lab:
    """The emulator, the object store, and what a night does with them."""

    def __init__(self, stack: Stack, client: BatchClient, rows: int) -> None:
        self._stack, self._client, self._rows = stack, client, rows
        os.environ["STORAGE_EMULATOR_HOST"] = stack.storage_url
        os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"
        import gcsfs  # noqa: PLC0415 - it reads the environment when it is imported

        filesystem = gcsfs.GCSFileSystem(
            project=PROJECT,
            token="anon",  # noqa: S106 - not a secret
            endpoint_url=stack.storage_url,
            use_listings_cache=False,
        )
        self.storage = ObjectStorage(filesystem)
        self._number = 0

    def run(self, case: Case, night: Night) -> Tally:
        """Let a night's jobs run, and count what they were paid for."""
        self._stack.emulator.reset()
        self._stack.emulator.set_settings(speed=1e6)
        for scenario in case.scenarios:
            self._stack.emulator.add_scenario(scenario)
        self._number += 1
        folder = f"{BUCKET}/paid_rows/{self._number}"
        lines = (json.dumps(_row(number)) + "\n" for number in range(self._rows))
        self._stack.gcs.put(f"{folder}/in.jsonl", "".join(lines).encode())
        tally, seen = Tally(), set[bytes]()
        for job in night(self, folder):
            tally.jobs += 1
            answers = set(self._answers(job))
            tally.paid += len(answers - seen)  # a resumed job copies lines as they are
            tally.answered.update(json.loads(line)["id"] for line in answers)
            seen |= answers
        return tally

    def first(self, folder: str) -> BatchPredictionJob:
        """The job over the whole input, after its end."""
        return self.submit([f"{folder}/in.jsonl"], folder)

    def submit(self, uris: list[str], folder: str) -> BatchPredictionJob:
        request = build_request(
            model=MODEL, uris=uris, output=f"{folder}/out/", display_name="paid rows", labels={}
        )
        return self.create(request)

    def create(self, request: CreateJobRequest) -> BatchPredictionJob:
        created = self._client.create(PROJECT, LOCATION, request)
        while not (job := self._client.get(PROJECT, LOCATION, created.job_id)).state.is_terminal:
            check_processes()
        return job

    def _answers(self, job: BatchPredictionJob) -> Iterator[bytes]:
        for name in self._stack.gcs.list(f"{job.output_directory}/"):
            for line in self._stack.gcs.get(name).splitlines():
                if not json.loads(line)["status"]:
                    yield line


Night = Callable[[Lab, str], Iterator[BatchPredictionJob]]


def whole_again(lab: Lab, folder: str) -> Iterator[BatchPredictionJob]:
    """As it was before: a job that failed for a passing reason is submitted again with all of its rows."""
    job = lab.first(folder)
    yield job
    if not job.state.has_results:
        yield lab.create(CreateJobRequest.again(job))


def resubmits(lab: Lab, folder: str) -> Iterator[BatchPredictionJob]:
    """``resubmits: 1`` alone: a job that died with answers is resumed."""
    job = lab.first(folder)
    yield job
    how = resubmission(describe(job), 0, 1)
    if how is not Resubmission.NONE:
        resume = how is Resubmission.RESUME
        yield lab.create(CreateJobRequest.resuming(job) if resume else CreateJobRequest.again(job))


def with_rounds(first: Night) -> Night:
    """The same, followed by the rounds of ``retry_rows``."""

    def night(lab: Lab, folder: str) -> Iterator[BatchPredictionJob]:
        jobs: Sequence[BatchPredictionJob] = list(first(lab, folder))
        yield from jobs
        chains = [JobChain(Place(PROJECT, LOCATION), tuple(jobs))]
        for number in range(1, ROUNDS + 1):
            with tempfile.TemporaryDirectory() as work:
                collector = RetryCollector(
                    lab.storage,
                    ResultSettings(key="id"),
                    ["transient"],
                    limits_for(MODEL),
                    work=Path(work),
                    log=logging.getLogger(__name__),
                )
                found = collector.collect(chains)
                place = StagingPlace(f"{folder}/staged/", f"round {number}")
                uris = stage_files(lab.storage, found.files, place)
            jobs = [lab.submit([uri], folder) for uri in uris]
            yield from jobs
            chains = [JobChain(Place(PROJECT, LOCATION), (job,)) for job in jobs]

    return night


def only_first(lab: Lab, folder: str) -> Iterator[BatchPredictionJob]:
    """``resubmits: 0``: the rounds alone take what is left."""
    yield lab.first(folder)


NIGHTS = {
    "before (`resubmits: 1`)": whole_again,
    "`resubmits: 1`": resubmits,
    "`retry_rows: {rounds: 2}`": with_rounds(resubmits),
    "`retry_rows`, `resubmits: 0`": with_rounds(only_first),
}


def table(lab: Lab, rows: int) -> Iterator[str]:
    """The lines of the table, as Markdown."""
    yield f"| {rows:,} rows in the input | policy | jobs | rows paid | rows answered | paid / answered |"
    yield "|---|---|---|---|---|---|"
    for case in CASES:
        for name, night in NIGHTS.items():
            yield f"| {' | '.join((case.title, name, *lab.run(case, night).cells))} |"


def _row(number: int) -> dict[str, object]:
    text = f"Summarize ticket {number}."
    return {
        "id": f"t{number}",
        "request": {"contents": [{"role": "user", "parts": [{"text": text}]}]},
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.paid_rows", description=__doc__)
    parser.add_argument("--rows", type=int, default=1000, help="rows of the input (default: 1000)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vertex-batch-paid-rows-") as folder:
        options = StackOptions(home=Path(folder), roles=ROLES)
        with Stack(options) as stack:
            stack.gcs.create_bucket("demo-bucket")
            with BatchClient(ProxyConfig(base_url=stack.proxy_url, api_key=stack.master_key)) as client:
                for line in table(Lab(stack, client, arguments.rows), arguments.rows):
                    print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
