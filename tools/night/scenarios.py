"""The scenarios of the night: their inputs, their specs, and the limits that are their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import ceil

from msgspec import structs

from local.emulator.admin import Match, Output, RowRule, Scenario, Trait
from tools.night.object_files import ObjectFolder, WrittenObject
from tools.night.rows import Rows, joined, packed

MANY_FILES = 100
SAMPLE_BYTES = 50_000_000  # the most that an estimate reads of a large object; a small one it reads whole
BUCKET = "night-bucket"
ROWS_PER_JOB = 200_000  # what Vertex allows
SENDS_AGAIN = (
    "resubmits: 0\n"
    f"results: {{{{to: gs://{BUCKET}/answers/{{name}}.parquet, key: key}}}}\n"
    "retry_rows: {{rounds: 2}}\n"
)
MIX = {Trait.FAILED: 0.03, Trait.THOUGHTS: 0.3, Trait.CACHED: 0.1}


@dataclass(frozen=True)
class NightScenario:
    """One input of real size, and the runs that read it.

    :param files: objects of one run's input.
    :param rows: of one run, over all its files.
    :param gzip: the objects are compressed.
    :param runs: specs that run at once, each with an input of its own.
    :param output: oddities of the output.
    :param refuse_usd: the budget of a run; a first estimate that is far too high ends the run.
    :param rows_per_job: more rows than these are split.
    :param spec: further lines of the spec.
    :param input_reads: how often an input object may be read, by bytes.
    :param latency_seconds: of each request of a task at the object store.
    :param worker_seconds: how long all task processes together may take; None: not judged.
    :param requests_per_file: of one step; None: not judged.
    :param sends_again: the first job dies at half of its rows, a tenth of the rows fails once, and each task
        is killed once; the spec sends rows again, so that each one is answered and paid for once.
    """

    key: str
    title: str
    rows: int
    kind: Rows
    files: int = 1
    gzip: bool = False
    runs: int = 1
    output: Output = field(default_factory=Output)
    refuse_usd: int | None = None
    rows_per_job: int = ROWS_PER_JOB
    spec: str = ""
    input_reads: int = 1
    latency_seconds: float = 0.0
    worker_seconds: float | None = None
    requests_per_file: float | None = None
    sends_again: bool = False

    @property
    def names(self) -> list[str]:
        """The specs, which are also the DAGs."""
        return [f"night_{self.key}_{number:03}" for number in range(self.runs)]

    @property
    def lost(self) -> tuple[int, int]:
        """How many rows of all runs are missing from the output, and how many are unreadable there."""
        return self.output.missing_rows * self.runs, self.output.truncated * self.runs

    def sampled(self, rows: float) -> float:
        """Which part of an object of so many rows may be read once more, for the estimate of each job."""
        return min(1.0, SAMPLE_BYTES / (rows * self.kind.mean_bytes))

    @property
    def disk_bytes(self) -> int:
        """Room for the inputs, their shards, and outputs twice: they repeat the requests, and are spooled."""
        size = self.rows * self.runs * self.kind.mean_bytes
        return size * (2 if self.input_reads > 1 else 1) + 2 * (size + self.rows * self.runs * 900)

    def scaled(self, scale: float) -> NightScenario:
        """The same with fewer rows, or runs where there are many; as many jobs read them."""
        if self.runs > 1:
            runs = max(2, round(self.runs * scale))
            return replace(self, title=f"{self.title} (scaled to {scale:g})", runs=runs)
        rows = max(2, round(self.rows * scale))
        title = f"{self.title} (scaled to {scale:g})"
        per_job = max(1, ceil(self.rows_per_job * scale))
        files = self.files if self.files < MANY_FILES else min(rows, max(2, round(self.files * scale)))
        return replace(self, title=title, rows=rows, files=files, rows_per_job=per_job)

    def spec_text(self, name: str) -> str:
        """The YAML of one of its specs."""
        wildcard = f"{'part-00000' if self.files == 1 else '*'}.jsonl{'.gz' if self.gzip else ''}"
        limit = self.refuse_usd
        budget = "" if limit is None else f"budget: {{per_run: {{refuse: {limit}}}}}\n"
        return (
            f"description: {self.title}\n"
            "model: gemini-3.1-flash-lite\n"
            f"inputs: gs://{BUCKET}/in/{name}/{wildcard}\n"
            f"output: gs://{BUCKET}/out/{name}/\n"
            "team: night\n"
            "poll_interval: 2s\n"
            f"retries: {8 if self.sends_again else 1}\n"
            "retry_delay: 5s\n"
            f"{budget}"
            f"max_rows_per_job: {self.rows_per_job}\n"
            f"{SENDS_AGAIN.format(name=name) if self.sends_again else ''}"
            f"{self.spec}"
        )

    def scripts(self, name: str) -> list[Scenario]:
        """How the jobs of a spec live; empty: as the settings say."""
        match = Match(labels={"airflow_dag": name})
        if self.sends_again:
            fails = [RowRule(contains="", share=0.1, fails=1, code=503)]
            lives = Scenario(match=match, mix={}, rows=fails)
            return [structs.replace(lives, times=1, end="FAILED", error_code=13, finished=0.5), lives]
        return [Scenario(match=match, mix=MIX, output=self.output)] if self.output != Output() else []

    def write_inputs(self, folder: ObjectFolder) -> Iterator[WrittenObject]:
        """Write the input objects of all runs, with a part of the rows each."""
        for name in self.names:
            for number in range(self.files):
                first, last = (self.rows * part // self.files for part in (number, number + 1))
                pieces = joined(self.kind.lines(first, last - first))
                file = f"in/{name}/part-{number:05}.jsonl"
                yield folder.write(f"{file}.gz", packed(pieces)) if self.gzip else folder.write(file, pieces)


SCENARIOS = (
    NightScenario(
        "a",
        "one file, 700 MB",
        200_000,
        Rows(3_500),
        output=Output(missing_rows=5, truncated=True),
        spec="max_unreadable_rows: 1\n",
    ),
    NightScenario(
        "b", "three files, 2 GB, split", 1_000_000, Rows(2_000), files=3, input_reads=2, refuse_usd=2_000
    ),
    NightScenario(
        "c",
        "5,000 files, 40 ms a request",
        5_000,
        Rows(400),
        files=5_000,
        latency_seconds=0.04,
        worker_seconds=60.0,
        requests_per_file=2.0,
    ),
    NightScenario("d", "rows of 1.5 MB, budget 1 USD", 80, Rows(1_500_000, pictures=True), refuse_usd=1),
    NightScenario("e", "gzip, 300 MB unpacked", 120_000, Rows(2_500), gzip=True, input_reads=2),
    NightScenario("f", "100 specs at once", 120, Rows(600), runs=100),
    NightScenario(
        "g",
        "a death at half, 10 % fail, each task killed",
        200_000,
        Rows(1_000),
        input_reads=12,
        sends_again=True,
    ),
)
