"""Builds a night in a folder: inputs, and the outputs of its jobs, row by row as a test wants them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fsspec

from vertex_batch.billing.making import make_bill
from vertex_batch.costs import Bill, JobFacts
from vertex_batch.pricing import PriceBook, packaged_prices
from vertex_batch.results import AttemptOutput, JobPrices, JoinedRows, ResultSettings, deliver, join
from vertex_batch.storage import ObjectStorage
from vertex_batch.usage import scan_output
from vertex_batch.vertex.names import JobId

MODEL = "gemini-2.5-flash"
BOOK = PriceBook([packaged_prices()])
BUSY = 'Error: {"error": {"code": 429, "message": "Quota exceeded.", "status": "RESOURCE_EXHAUSTED"}}'
INVALID = 'Bad Request: {"error": {"code": 400, "message": "Wrong role.", "status": "INVALID_ARGUMENT"}}'


def a_request(text: str = "Is it?", **config: Any) -> dict[str, Any]:
    return {
        "contents": [{"role": "user", "parts": [{"text": text}]}],
        "generationConfig": {"maxOutputTokens": 64, **config},
    }


def echoed(request: dict[str, Any]) -> dict[str, Any]:
    """The request as Google echoes it: sorted, in snake case, with nulls and other forms of numbers."""
    snake = {"generationConfig": "generation_config", "maxOutputTokens": "max_output_tokens"}

    def again(value: Any) -> Any:
        if isinstance(value, dict):
            members = {snake.get(name, name): again(each) for name, each in value.items()}
            return dict(sorted({**members, "labels": None}.items(), reverse=True))
        if isinstance(value, list):
            return [again(each) for each in value]
        return float(value) if type(value) is int else value

    found: dict[str, Any] = again(request)
    return found


def an_answer(text: str, number: int = 0, finish: str = "STOP", prompt: int = 9) -> dict[str, Any]:
    return {
        "candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": finish}],
        "modelVersion": MODEL,
        "responseId": f"response-{number}",
        "usageMetadata": {
            "promptTokenCount": prompt,
            "candidatesTokenCount": 7,
            "totalTokenCount": prompt + 7,
        },
    }


def answered(row: dict[str, Any], text: str, number: int = 0, **how: Any) -> dict[str, Any]:
    """The output row of an input row."""
    siblings = {name: value for name, value in row.items() if name != "request"}
    response = an_answer(text, number, **how)
    return {"status": "", "request": echoed(row["request"]), "response": response, **siblings}


def failed(row: dict[str, Any], status: str = BUSY) -> dict[str, Any]:
    return {**row, "status": status, "response": {}}


def lines_of(rows: Iterable[Any]) -> bytes:
    """Rows as lines; bytes are taken as they are."""
    lines = [row if isinstance(row, bytes) else json.dumps(row, ensure_ascii=False).encode() for row in rows]
    return b"".join(line + b"\n" for line in lines)


@dataclass
class Night:
    """A run's files.

    :param bills: of the jobs, in the order of their outputs.
    """

    root: Path
    inputs: list[str] = field(default_factory=list)
    attempts: list[AttemptOutput] = field(default_factory=list)
    bills: list[Bill] = field(default_factory=list)
    joins: int = 0

    @property
    def store(self) -> ObjectStorage:
        return ObjectStorage(fsspec.filesystem("file"))

    def add_input(self, rows: Sequence[Any], name: str = "") -> None:
        path = self.root / (name or f"in-{len(self.inputs)}.jsonl")
        path.write_bytes(lines_of(rows))
        self.inputs.append(str(path))

    def add_output(
        self, attempt: int, *files: Sequence[Any], content: bytes | None = None, resumes: bool = False
    ) -> None:
        """Add a job with its output; without rows it is one that died before it wrote any."""
        job = JobId("p", "global", str(len(self.attempts)))
        folder = self.root / f"out-{job.id}" / "prediction-model-2026"
        folder.mkdir(parents=True)
        for number, rows in enumerate(files):
            name = "predictions.jsonl" if len(files) == 1 else f"predictions_{number:04}.jsonl"
            (folder / name).write_bytes(lines_of(rows))
        if content is not None:
            (folder / "predictions.jsonl").write_bytes(content)
        if not files and content is None:
            self.attempts.append(AttemptOutput(attempt, job))
            return
        scan = scan_output(self.store, str(folder), job_model=MODEL, thresholds=BOOK.thresholds())
        facts = JobFacts(*job, model=MODEL, state="SUCCEEDED", output_directory=str(folder))
        self.bills.append(make_bill(facts, scan, BOOK))
        self.attempts.append(AttemptOutput(attempt, job, (str(folder),), resumes=resumes))

    def join(self, key: str = "ticket", **settings: Any) -> AbstractContextManager[JoinedRows]:
        self.joins += 1
        prices: dict[JobId | None, JobPrices] = {
            bill.job.key: JobPrices.of_bill(bill, BOOK.thresholds()) for bill in self.bills
        }
        return join(
            self.inputs,
            self.attempts,
            ResultSettings(key=key, **settings),
            store=self.store,
            work=self.root / f"work-{self.joins}",
            prices=prices,
        )

    def deliver(self, to: str = "answers.jsonl", **settings: Any) -> Delivered:
        """Join, deliver, and read back."""
        with self.join(**settings) as joined:
            written = deliver(joined, str(self.root / "delivery" / to), self.store, {})
            files = written.manifest["files"]
            read = {
                name: read_lines(self.root / "delivery" / file["file"]) if to.endswith(".jsonl") else []
                for name, file in files.items()
            }
            return Delivered(
                joined.counts, read["answers"], read["exceptions"], read.get("extra", []), written.manifest
            )


@dataclass
class Delivered:
    counts: Any
    answers: list[dict[str, Any]]
    exceptions: list[dict[str, Any]]
    extra: list[dict[str, Any]]
    manifest: Any


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]
