"""A delivery never makes what is at its address worse, and its files always belong together."""

from __future__ import annotations

import json
import os
import shutil
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fsspec.implementations.local import LocalFileSystem

from tests.vertex_batch.results.nights import Night, a_request, answered, failed
from vertex_batch.errors import ConfigurationError
from vertex_batch.results import DeliveryBusyError, DeliveryOutcome, DeliveryPlace, deliver, of_paid_answers
from vertex_batch.results.comparing import Manifest, must_stay, why_kept
from vertex_batch.results.placing import ABANDONED_AFTER, Claim
from vertex_batch.storage import ObjectStorage

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


FIRST = {"input_digest": "first", "input_uris_digest": "tickets.jsonl"}
SECOND = {**FIRST, "input_digest": "second"}
OF_ANOTHER_DAY = {"run_date": "2026-11-28", "input_digest": "second", "input_uris_digest": "28.jsonl"}
OF_FIRST = Manifest(
    **{
        "dag_id": "nightly",
        "run_id": "night",
        "run_date": "2026-11-27",
        "delivered": 100,
        "jobs": ["1"],
        **FIRST,
    }
)
CUT = {"exceptions_by_reason": {"missing": 9}}


@pytest.mark.parametrize(
    ("earlier", "new", "reason", "stays"),
    [
        # The same input: by their number, as ever, and what is replaced can be made again.
        (OF_FIRST, another(**FIRST, delivered=100), None, False),
        (OF_FIRST, another(**FIRST, delivered=99), "only 99", False),
        # Another input in the same place: a new delivery, however small, and the earlier one is moved.
        (OF_FIRST, another(**SECOND, delivered=1), None, True),
        (OF_FIRST, another(**SECOND, delivered=1000), None, True),
        (OF_FIRST, another(**SECOND, delivered=40, exceptions_by_reason={"truncated": 60}), None, True),
        # Cut short, it replaces no complete one, but another that was cut short.
        (OF_FIRST, another(**SECOND, delivered=900, **CUT), "another input, and the jobs", True),
        (OF_FIRST, another(**SECOND, delivered=0, **CUT), "another input, and this one has only 0", True),
        (
            another(**FIRST, delivered=90, **CUT),
            another(**SECOND, jobs=["3"], delivered=3, **CUT),
            None,
            True,
        ),
        # The same jobs, joined to an input that was overwritten since: what they have answered stays.
        (OF_FIRST, another(**SECOND, run_id="night", jobs=["1"], delivered=3, **CUT), "did not return", True),
        (
            OF_FIRST,
            another(**SECOND, jobs=["1"], delivered=100, other_prompts=100),
            "was changed after",
            True,
        ),
        (
            OF_FIRST,
            another(**SECOND, jobs=["1"], delivered=100, rewritten_objects=1),
            "was changed after",
            True,
        ),
        # ... and again after the input was restored, which is a later time of writing, too.
        (
            another(**SECOND, jobs=["1"], delivered=9, rewritten_objects=1, **CUT),
            another(**FIRST, jobs=["1"], delivered=100, rewritten_objects=1),
            None,
            True,
        ),
        # A run that ends after the input was overwritten is joined to the input of the next one.
        (
            another(**SECOND, delivered=5),
            another(**SECOND, jobs=["3"], delivered=9, rewritten_objects=1),
            "changed",
            False,
        ),
        # A later day, in an address without the date: its own input is still there, unless that has no date.
        (OF_FIRST, another(**{**OF_ANOTHER_DAY, "delivered": 40}), None, False),
        (OF_FIRST, another(**{**SECOND, "run_date": "2026-11-28"}, delivered=40), None, True),
        (OF_FIRST, another(**OF_ANOTHER_DAY, delivered=40, **CUT), "did not return", True),
        (another(**OF_ANOTHER_DAY, delivered=40), another(**FIRST, delivered=100), "earlier day", True),
        # Another input than the spec names.
        (OF_FIRST, another(**SECOND, delivered=100, input_is_chosen=True), "than its spec names", True),
        (
            another(**SECOND, input_is_chosen=True, delivered=7),
            another(**FIRST, jobs=["3"], delivered=3),
            None,
            True,
        ),
        # The command line asks a person.
        (Manifest(**FIRST, delivered=100), Manifest(**SECOND, delivered=100), "a person decides", True),
        (Manifest(**FIRST, delivered=100), Manifest(**FIRST, delivered=3), None, False),
        (Manifest(**FIRST, delivered=100), another(**SECOND, delivered=3), None, True),
        # A delivery of an older version does not say what its input was.
        (NIGHT, another(**SECOND, delivered=99), "only 99", False),
        (NIGHT, another(**SECOND, delivered=100), None, False),
    ],
)
def test_the_answers_to_another_input_are_another_delivery(earlier, new, reason, stays):
    found = why_kept(earlier, new)
    assert (reason in found) if reason and found else (found is reason)
    assert must_stay(earlier, new) is stays


OTHER_ROWS = [{"id": "other", "request": a_request("another question")}]
ROWS = [{"id": str(n), "request": a_request(f"question {n}")} for n in range(3)]


@pytest.fixture
def to(tmp_path: Path) -> DeliveryPlace:
    return DeliveryPlace(str(tmp_path / "delivery" / "answers.jsonl"))


@pytest.fixture
def write(tmp_path: Path, to: DeliveryPlace):
    """Deliver a run whose job has answered some rows."""

    def one(
        run_id: str, good: int, *, replace: bool = False, rows: list[Any] = ROWS, **facts: Any
    ) -> DeliveryOutcome:
        night = Night(tmp_path / f"run-{run_id}")
        shutil.rmtree(night.root, ignore_errors=True)
        night.root.mkdir()
        night.add_input(rows)
        night.add_output(
            0, [answered(row, "yes", n) if n < good else failed(row) for n, row in enumerate(rows)]
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


@pytest.mark.parametrize(("day", "is_moved"), [("2026-11-27", True), ("2026-11-28", False)])
def test_the_later_delivery_of_two_specs_takes_the_address_and_an_earlier_day_is_replaced(
    write, to, day, is_moved
):
    """As `vertex-batch validate` says of two specs with the same `results.to`."""
    write("night", 3, run_date="2026-11-27")
    assert write("week", 1, rows=OTHER_ROWS, dag_id="weekly", run_date=day).place == to
    assert in_place(to) == ("week", 1, 0)
    assert Path(to.beside("nightly.night").answers).exists() is is_moved


def test_a_delivery_of_no_run_that_is_worse_is_refused_unless_it_is_meant(write, to):
    write("night", 3)
    with pytest.raises(ConfigurationError, match=r"night, which has 3 answers.*only 1.*--replace"):
        write("", 1, dag_id="", jobs=[])
    assert in_place(to) == ("night", 3, 0)
    assert write("", 1, replace=True, dag_id="", jobs=[]).replaced.run_id == "night"
    assert in_place(to) == ("", 1, 2)
    assert not temporary_files(to)


class TestAnotherInput:
    """`answers.jsonl` and its input have fixed addresses, and the input was overwritten between two runs."""

    def test_the_earlier_answers_are_moved_and_both_manifests_say_so(self, write, to):
        content = Path(write("night", 3).place.answers).read_bytes()
        new = write("again", 1, rows=OTHER_ROWS)
        assert in_place(to) == ("again", 1, 0)
        assert new.replaced is None
        moved = to.beside("night")
        assert in_place(moved) == ("night", 3, 0)
        assert Path(moved.answers).read_bytes() == content
        earlier = json.loads(Path(to.manifest).read_bytes())["earlier"]
        assert earlier == {"answers": moved.answers, "dag_id": "nightly", "run_id": "night", "delivered": 3}
        assert not temporary_files(to)

    def test_a_second_time_nothing_is_written_and_the_earlier_one_is_named_again(self, write, to):
        write("night", 3)
        first = write("again", 1, rows=OTHER_ROWS)
        second = write("again", 1, rows=OTHER_ROWS)
        assert (first.changed, second.changed) == (True, False)
        assert first.manifest == second.manifest
        assert first.earlier == second.earlier
        assert second.earlier.run_id == "night"

    def test_a_run_that_delivers_again_finds_its_moved_answers(self, write, to):
        write("night", 3)
        write("again", 1, rows=OTHER_ROWS)
        back = write("night", 3)  # its input was restored for that
        assert back.place == to
        assert in_place(to.beside("again")) == ("again", 1, 0)
        assert back.earlier.run_id == "again"

    def test_answers_of_the_same_input_in_another_order_and_other_files_are_compared(self, write, to):
        write("night", 3)
        assert write("again", 2, rows=ROWS[::-1]).place == to.beside("again")

    def test_a_task_that_is_killed_while_it_moves_leaves_both(self, write, to, monkeypatch):
        write("night", 3)
        with monkeypatch.context() as patched:
            patched.setattr(Claim, "put", interrupt)
            with pytest.raises(KeyboardInterrupt):
                write("again", 1, rows=OTHER_ROWS)
        assert in_place(to) == ("night", 3, 0)
        new = write("again", 1, rows=OTHER_ROWS)
        assert [in_place(place) for place in (new.place, to.beside("night"))] == [
            ("again", 1, 0),
            ("night", 3, 0),
        ]

    def test_a_manifest_that_names_a_file_elsewhere_is_not_believed(self, write, to):
        write("night", 1)
        manifest = json.loads(Path(to.manifest).read_bytes())
        Path(to.manifest).write_text(
            json.dumps({**manifest, "earlier": {"answers": "gs://other/place.jsonl"}})
        )
        assert write("night", 1).earlier is None

    def test_the_command_line_replaces_it_only_if_it_is_meant(self, write, to):
        write("", 3, dag_id="", jobs=[])
        with pytest.raises(ConfigurationError, match=r"another input.*--replace"):
            write("", 1, rows=OTHER_ROWS, dag_id="", jobs=[])
        assert in_place(write("", 1, rows=OTHER_ROWS, replace=True, dag_id="", jobs=[]).place) == ("", 1, 0)

    def test_answers_of_the_command_line_are_moved_too(self, write, to):
        write("", 3, dag_id="", jobs=[])
        write("night", 1, rows=OTHER_ROWS)
        assert in_place(to.beside("command_line")) == ("", 3, 0)


def interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


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

    @pytest.mark.parametrize(("step", "of"), [("open", "claim"), ("open", "manifest"), ("move", "claim")])
    @pytest.mark.parametrize(("at_work", "named"), [("other", "The run other"), ("", "Another run")])
    def test_an_object_that_the_other_one_moves_meanwhile_is_no_input_that_changed(
        self, write, to, monkeypatch, step, of, at_work, named
    ):
        """The other run ends, or takes this one's claim over, between two steps of this one."""
        write("night", 1)
        if step == "open" and of == "claim":
            self.claim(to, "other", 3)
        moved, real = getattr(to, of), getattr(ObjectStorage, step)

        def late(store: ObjectStorage, source: Any, *rest: Any) -> Any:
            if getattr(source, "uri", source).endswith(moved):
                monkeypatch.setattr(ObjectStorage, step, real)
                Path(moved).unlink()
                Path(to.manifest).unlink(missing_ok=True)
                if at_work:  # it removes the manifest before it renames its claim to it
                    self.claim(to, at_work, 3).rename(to.claim if of == "manifest" else to.manifest)
            return real(store, source, *rest)

        monkeypatch.setattr(ObjectStorage, step, late)
        with (
            pytest.raises(DeliveryBusyError, match=f"^{named} is writing.*not written yet.*nothing to do"),
            of_paid_answers("Then run this again."),
        ):
            write("again", 3)
        Path(to.claim).unlink(missing_ok=True)
        assert in_place(write("again", 3).place) == ("again", 3, 0)

    def test_one_that_stood_still_until_its_claim_was_taken_over_replaces_nothing(self, write, to):
        write("night", 1)
        manifest = another(delivered=3)
        content = msgspec.json.encode(manifest)
        claim = Claim.acquire(ObjectStorage(LocalFileSystem()), to, content, manifest)
        taken_over = self.claim(to, "other", 3)
        content_of_other = taken_over.read_bytes()
        with pytest.raises(DeliveryBusyError, match="other is writing"):
            claim.put({}, content)
        assert taken_over.read_bytes() == content_of_other
        taken_over.unlink()
        assert in_place(to) == ("night", 1, 2)

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
