"""A delivery never makes what is at its address worse, and its files always belong together."""

from __future__ import annotations

import json
import os
import time
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.vertex_batch.results.nights import Night, a_request, answered, failed
from vertex_batch.errors import ConfigurationError
from vertex_batch.results import DeliveryBusyError, DeliveryPlace, Written, deliver
from vertex_batch.results.placing import ABANDONED_AFTER, Manifest, why_kept

NIGHT = Manifest("nightly", "night", "2026-11-27", delivered=100, jobs=["1"])


def another(**fields: Any) -> Manifest:
    return Manifest(
        **{"dag_id": "nightly", "run_id": "again", "run_date": "2026-11-27", "jobs": ["2"], **fields}
    )


@pytest.mark.parametrize(
    ("earlier", "new", "reason"),
    [
        (None, another(delivered=0), None),
        (NIGHT, another(delivered=0), "only 0"),  # it was cancelled at once
        (NIGHT, another(delivered=99), "only 99"),
        (NIGHT, another(delivered=100), None),
        (NIGHT, another(delivered=101), None),
        # Cancelled at half of a larger input: it has more answers, and the other one has all of its own.
        (NIGHT, another(delivered=900, exceptions_by_reason={"missing": 99}), "did not return 99"),
        (another(delivered=90, exceptions_by_reason={"missing": 9}), NIGHT, None),
        # The same jobs again, with other settings; and a run that has sent rows of the earlier one again.
        (NIGHT, another(run_id="night", jobs=["1"], delivered=0), None),
        (NIGHT, another(jobs=["1", "2"], delivered=99), None),
        # The same run, cleared and submitted again, then cancelled.
        (NIGHT, another(run_id="night", delivered=3), "only 3"),
        # Another input is another delivery, however large.
        (NIGHT, another(delivered=1000, input_is_chosen=True), "another input"),
        (another(delivered=7, input_is_chosen=True), NIGHT, None),
        (another(delivered=700, input_is_chosen=True), NIGHT, "only 100"),
        (
            another(delivered=7, input_is_chosen=True),
            another(delivered=8, input_is_chosen=True, jobs=["3"]),
            None,
        ),
        # An address without the date: the latest day whose jobs have returned every row.
        (NIGHT, another(run_date="2026-11-28", delivered=40), None),
        (NIGHT, another(run_date="2026-11-28", delivered=40, exceptions_by_reason={"failed": 9}), None),
        (NIGHT, another(run_date="2026-11-28", delivered=40, exceptions_by_reason={"missing": 9}), "only 40"),
        (NIGHT, another(run_date="2026-11-28", delivered=0, exceptions_by_reason={"failed": 9}), "only 0"),
        (NIGHT, another(run_date="2026-11-26", delivered=1000), "earlier day"),
        # Two DAGs with the same run id.
        (NIGHT, another(dag_id="other", run_id="night", delivered=0), "only 0"),
        # The command line, which knows no jobs.
        (Manifest(delivered=100), Manifest(delivered=3), None),
        (Manifest(delivered=100), another(delivered=3), "only 3"),
        (NIGHT, Manifest(delivered=3), "only 3"),
        # A delivery of an older version has no day.
        (Manifest("nightly", "night", delivered=100, jobs=["1"]), another(delivered=3), "only 3"),
    ],
)
def test_a_delivery_is_replaced_only_by_one_that_is_not_worse(earlier, new, reason):
    found = why_kept(earlier, new)
    assert (reason in found) if reason and found else (found is reason)


ROWS = [{"id": str(n), "request": a_request(f"question {n}")} for n in range(3)]


@pytest.fixture
def to(tmp_path: Path) -> DeliveryPlace:
    return DeliveryPlace(str(tmp_path / "delivery" / "answers.jsonl"))


@pytest.fixture
def write(tmp_path: Path, to: DeliveryPlace):
    """Deliver a run whose job has answered some rows."""
    runs = count()

    def one(run_id: str, good: int, *, replace: bool = False, **facts: Any) -> Written:
        night = Night(tmp_path / f"run-{next(runs)}")
        night.root.mkdir()
        night.add_input(ROWS)
        night.add_output(
            0, [answered(row, "yes", n) if n < good else failed(row) for n, row in enumerate(ROWS)]
        )
        known = {"dag_id": "nightly", "run_id": run_id, "jobs": [run_id], **facts}
        with night.join("id") as joined:
            return deliver(joined, to.answers, night.store, known, replace=replace)

    return one


def temporary_files(to: DeliveryPlace) -> list[str]:
    return [str(path) for path in Path(to.answers).parent.glob("_writing*")]


def in_place(place: DeliveryPlace) -> tuple[str, int, int]:
    """The run of a delivery, and the rows in its two files, which belong to its manifest."""
    manifest = json.loads(Path(place.manifest).read_bytes())
    for described in manifest["files"].values():
        file = Path(place.answers).parent / described["file"]
        assert file.stat().st_size == described["bytes"]
    counts = [len(Path(uri).read_bytes().splitlines()) for uri in (place.answers, place.exceptions)]
    return manifest["run_id"], counts[0], counts[1]


def test_a_worse_run_is_put_beside_the_better_one_and_says_so(write, to):
    good = write("night", 3)
    bad = write("again", 1)
    assert in_place(good.place) == ("night", 3, 0)
    assert in_place(bad.place) == ("again", 1, 2)
    assert bad.place.answers.endswith("/answers.again.jsonl")
    assert (bad.kept.run_id, bad.kept.delivered, bad.why_kept) == ("night", 3, "this one has only 1")
    again = write("again", 1)
    assert (again.place, again.kept) == (bad.place, bad.kept)
    assert not temporary_files(to)


def test_a_run_that_was_submitted_again_replaces_neither_of_the_better_ones(write):
    places = [write("night", 3).place, write("again", 2).place, write("again", 1, jobs=["more"]).place]
    assert [in_place(place) for place in places] == [("night", 3, 0), ("again", 2, 1), ("again", 1, 2)]
    assert places[2].answers.endswith("/answers.again.2.jsonl")


def test_a_better_run_replaces_all_files_and_names_the_run(write):
    write("night", 1)
    better = write("again", 2)
    assert in_place(better.place) == ("again", 2, 1)
    assert (better.replaced.run_id, better.replaced.delivered, better.kept) == ("night", 1, None)


def test_runs_of_two_dags_with_the_same_id_have_different_names(write):
    write("night", 3)
    other = write("night", 1, dag_id="weekly", jobs=["w"])
    assert other.place.answers.endswith("/answers.weekly.night.jsonl")


def test_a_delivery_of_no_run_that_is_worse_is_refused_unless_it_is_meant(write, to):
    write("night", 3)
    with pytest.raises(ConfigurationError, match=r"night, which has 3 answers.*only 1.*--replace"):
        write("", 1, dag_id="", jobs=[])
    assert in_place(to) == ("night", 3, 0)
    assert write("", 1, replace=True, dag_id="", jobs=[]).replaced.run_id == "night"
    assert in_place(to) == ("", 1, 2)
    assert not temporary_files(to)


class TestTwoAtOnce:
    def claim(self, place: DeliveryPlace, run_id: str, delivered: int) -> Path:
        """What another run has written that is about to replace the files."""
        path = Path(place.claim)
        facts = {"dag_id": "nightly", "run_id": run_id, "delivered": delivered, "jobs": [run_id]}
        path.write_text(json.dumps(facts))
        return path

    def test_the_second_one_waits_for_its_next_try_and_leaves_nothing(self, write):
        place = write("night", 1).place
        claim = self.claim(place, "other", 3)
        with pytest.raises(DeliveryBusyError, match="other is writing"):
            write("again", 2)
        assert in_place(place) == ("night", 1, 2)
        assert temporary_files(place) == [str(claim)]

    def test_a_worse_one_need_not_wait(self, write):
        place = write("night", 3).place
        self.claim(place, "other", 3)
        assert in_place(write("again", 2).place) == ("again", 2, 1)

    def test_a_retry_of_a_killed_task_takes_its_own_claim_over(self, write):
        place = write("night", 1).place
        self.claim(place, "again", 2)
        Path(place.manifest).unlink()
        assert in_place(write("again", 2).place) == ("again", 2, 1)
        assert not Path(place.claim).exists()

    def test_the_files_of_a_killed_task_count_as_its_delivery(self, write):
        place = write("night", 1).place
        claim = self.claim(place, "killed", 3)
        Path(place.manifest).unlink()
        then = time.time() - (ABANDONED_AFTER + timedelta(minutes=1)).total_seconds()
        os.utime(claim, (then, then))
        beside = write("again", 2)
        assert beside.kept.run_id == "killed"
        assert in_place(beside.place) == ("again", 2, 1)
        better = write("best", 3)
        assert in_place(better.place) == ("best", 3, 0)
        assert better.place == place
