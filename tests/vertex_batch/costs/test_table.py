"""The cost table, on both databases."""

from __future__ import annotations

import multiprocessing
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, text

from vertex_batch.costs import CostTable, CostTableSetupError, JobFilter, JobIdTakenError, Owners
from vertex_batch.costs.migrations import MIGRATIONS
from vertex_batch.errors import PermanentError
from vertex_batch.usage import CacheTtl, Kind
from vertex_batch.vertex.names import JobId, JobName, parse_job_name

PLACE = ("demo-project", "us-central1")
INDEXES = ("dag_day", "day_totals", "amount", "failed", "state", "unpriced")
KEPT = ("amount_picousd", "unpriced_line_items", "tokens", "saved_picousd", "saved_unknown_line_items")


def query(url, sql, **values):
    engine = create_engine(url)
    with engine.connect() as connection:
        rows = connection.execute(text(sql), values).mappings().all()
    engine.dispose()
    return [dict(row) for row in rows]


def execute(url, *statements):
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def test_a_bill_comes_back_as_it_was_written(table, bill):
    written = bill()
    table.record(written)
    assert table.bill(JobId(*PLACE, "101")) == written


@pytest.mark.parametrize("odd", ["\0", "\ud800"], ids=["NUL", "half a pair"])
def test_what_a_database_cannot_hold_of_a_text_prevents_no_bill(table, bill, line, odd):
    """As in the note of who triggered the run, the name of an adopted job, or the reason of a failed row."""
    item = line(model=f"m{odd}")
    facts = {name: f"{name}{odd}" for name in ("note", "display_name", "error_message")}
    made = replace(bill("1", [item], **facts), failed_reasons={f"a{odd}b": 1}, flags=(odd,))
    table.record(made)
    stored = table.bill(made.job.key)
    assert (stored.job.note[:4], stored.total, len(stored.failed_reasons)) == ("note", made.total, 1)
    table.record(made)
    found = table.jobs(JobFilter(text=f"note{odd}"))
    assert [each.job.key for each in found] == [made.job.key]


def test_a_bill_that_was_never_recorded_is_none(table):
    assert table.bill(JobId(*PLACE, "404")) is None


def test_recording_twice_is_recording_once(table, bill, database_url):
    for _ in range(2):
        table.record(bill())
    for name in ("cost_jobs", "cost_line_items", "cost_usage"):
        before = query(database_url, f"SELECT * FROM {name}")
        table.record(bill())
        assert query(database_url, f"SELECT * FROM {name}") == before
    assert table.totals("team")[0].total.amount == Decimal("0.000775")


def test_every_bill_that_is_written_is_passed_on_once_with_the_sum_before_it(database_url, bill, line):
    passed_on = []
    table = CostTable(database_url, on_bill=lambda *written: passed_on.append(written))
    first, without_items = bill(), bill("102", items=[])
    for each in (first, first, bill(items=[line(1)]), without_items, without_items):
        table.record(each)
    table.reprice(first.job.key, lambda latest: replace(latest, line_items=(line(2),)))
    table.reprice(first.job.key, lambda latest: latest)  # nothing is written
    table.reprice(JobId(*PLACE, "404"), lambda latest: replace(latest, line_items=(line(2),)))
    small = bill(items=[line(1)]).total
    assert [(each.job.job_id, each.total, before) for each, before in passed_on] == [
        ("101", first.total, None),
        ("101", first.total, first.total),
        ("101", small, first.total),
        ("102", without_items.total, None),
        ("102", without_items.total, without_items.total),
        ("101", bill(items=[line(2)]).total, small),
    ]


def test_of_two_first_bills_that_are_written_at_once_only_one_is_passed_on_as_the_first(database_url, bill):
    first_bills = []
    jobs = [str(n) for n in range(20)]
    both = threading.Barrier(2)

    def write():
        on_bill = lambda written, before: first_bills.append(written.job.job_id) if before is None else None  # noqa: E731
        table = CostTable(database_url, on_bill=on_bill)
        table.migrate()
        for job_id in jobs:
            both.wait()
            table.record(bill(job_id))

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(write) for _ in range(2)]:
            done.result()
    assert sorted(first_bills) == sorted(jobs)


def test_recording_again_with_fewer_line_items_removes_the_stale_ones(table, bill, line):
    table.record(bill())
    table.record(bill(items=[line(1)], state="FAILED"))
    again = table.bill(JobId(*PLACE, "101"))
    assert again.line_items == (line(1),)
    assert again.job.state == "FAILED"


def test_the_bill_of_another_job_with_the_same_id_is_not_replaced(table, bill, line):
    first = bill()
    table.record(first)
    created = first.job.create_time + timedelta(hours=1)
    with pytest.raises(JobIdTakenError, match=r"created at .* the bill of the other job stays") as caught:
        table.record(bill(items=[line(1)], create_time=created))
    assert isinstance(caught.value, PermanentError)
    assert pickle.loads(pickle.dumps(caught.value)).args == caught.value.args
    assert table.bill(JobId(*PLACE, "101")) == first


def test_one_hour_and_five_minute_cache_writes_are_lines_of_their_own(table, bill, line):
    writes = [
        line(7, kind=Kind.CACHE_WRITE, cache_ttl=ttl) for ttl in (CacheTtl.ONE_HOUR, CacheTtl.FIVE_MINUTES)
    ]
    table.record(bill(items=writes))
    assert set(table.bill(JobId(*PLACE, "101")).line_items) == set(writes)


def test_an_unknown_price_is_null_and_the_totals_say_at_least(table, bill, line, database_url):
    table.record(bill(items=[line(), line(3, None, kind=Kind.SEARCH_QUERY)]))
    total = table.bill(JobId(*PLACE, "101")).total
    assert (total.amount, total.complete) == (Decimal("0.00015"), False)
    assert str(total).startswith("at least ")
    for by in ("job", "spec", "day", "spec_day", "model", "team", "dag", "project", "location", "state"):
        assert table.totals(by)[0].total == total
    for view in ("cost_by_job", "cost_by_spec_day", "cost_by_model", "cost_by_team"):
        row = query(database_url, f"SELECT * FROM {view}")[0]
        assert not row["is_complete"]
        assert row["amount_picousd"] == 150_000_000
        assert row["tokens"] == 1000  # queries are no tokens
    null = query(database_url, "SELECT * FROM cost_lines WHERE unit = 'query'")[0]
    assert null["amount_usd"] is None
    assert null["reason"] == "no price"


def test_a_job_without_line_items_costs_nothing_and_is_counted(table, bill, database_url):
    table.record(bill(items=[]))
    [group] = table.totals("spec")
    assert (group.total.amount, group.total.complete, group.jobs) == (0, True, 1)
    [row] = query(database_url, "SELECT * FROM cost_by_job")
    assert row["amount_usd"] == 0
    assert row["is_complete"]


def test_the_views_add_up_by_job_spec_and_day_model_and_team(table, bill, line, database_url):
    table.record(bill("1"))
    table.record(bill("2"))
    table.record(bill("3", items=[line(1, model="gemini-2.5-pro")], spec="weekly", team="ads"))
    day = query(database_url, "SELECT * FROM cost_by_spec_day ORDER BY spec")
    assert [(row["spec"], str(row["day"]), row["jobs"]) for row in day] == [
        ("nightly", "2026-11-21", 2),
        ("weekly", "2026-11-21", 1),
    ]
    assert Decimal(str(day[0]["amount_usd"])) == Decimal("0.00155")
    models = query(database_url, "SELECT * FROM cost_by_model ORDER BY model")
    assert [(row["model"], row["jobs"], row["amount_picousd"]) for row in models] == [
        ("gemini-2.5-flash", 2, 1_550_000_000),
        ("gemini-2.5-pro", 1, 150_000),
    ]
    teams = query(database_url, "SELECT * FROM cost_by_team ORDER BY team")
    assert [(row["team"], row["jobs"]) for row in teams] == [("ads", 1), ("search", 2)]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(entries=[(849_944_063, 19_548_641)])  # more than a float holds
@given(entries=st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**8)), min_size=1, max_size=6))
def test_sums_are_exact_for_any_tokens_and_rates(table, bill, line, entries):
    """Checked with fractions, which share nothing with decimals or SQL."""
    items = [line(n, str(Decimal(pico).scaleb(-12)), model=f"m{i}") for i, (n, pico) in enumerate(entries)]
    table.record(bill(items=items))
    expected = sum((Fraction(n) * Fraction(pico, 10**12) for n, pico in entries), Fraction(0))
    [group] = table.totals("team")
    assert Fraction(group.total.amount) == expected == Fraction(table.bill(JobId(*PLACE, "101")).total.amount)


def test_postgresql_views_are_exact_decimals(postgres, bill, line):
    url = postgres.create_database("exact_views")
    CostTable(url).record(bill(items=[line(10**9 + 1, "0.000001234567"), line(1, "1e-12", model="b")]))
    [row] = query(url, "SELECT amount_usd FROM cost_by_team")
    assert row["amount_usd"] == Decimal("1234.567001234568")
    prices = query(url, "SELECT unit_price_usd FROM cost_lines ORDER BY model")
    assert [row["unit_price_usd"] for row in prices] == [Decimal("1e-12"), Decimal("0.000001234567")]


def test_an_amount_that_would_be_rounded_is_refused_and_the_old_bill_stays(table, bill, line):
    table.record(bill())
    with pytest.raises(CostTableSetupError, match="cannot be stored exactly"):
        table.record(bill(items=[line(1, "1.5e-13")]))
    assert table.bill(JobId(*PLACE, "101")) == bill()


def test_hostile_texts_are_only_texts(table, bill, database_url):
    hostile = "x'; DROP TABLE cost_jobs; --"
    table.record(bill(hostile, spec=hostile, labels={hostile: "%s {} :x ?"}, note="\U0001f4b8 \\ \" '"))
    assert table.bill(JobId(*PLACE, hostile)).job.note == "\U0001f4b8 \\ \" '"
    assert len(table.jobs(JobFilter(spec=hostile))) == 1
    assert table.jobs(JobFilter(spec="x' OR '1'='1")) == []
    with pytest.raises(ValueError, match="unknown grouping"):
        table.totals("1; DROP TABLE cost_jobs")


def test_jobs_are_filtered_and_the_latest_comes_first(table, bill):
    for number in range(1, 4):
        table.record(
            bill(str(number), logical_date=datetime(2026, 11, number, tzinfo=UTC), dag_id=f"d{number % 2}")
        )
    assert [cost.job.job_id for cost in table.jobs()] == ["3", "2", "1"]
    assert [cost.job.job_id for cost in table.jobs(JobFilter(dag_id="d1"))] == ["3", "1"]
    assert [cost.job.job_id for cost in table.jobs(limit=1)] == ["3"]
    between = JobFilter(since=date(2026, 11, 2), until=date(2026, 11, 2))
    [found] = table.jobs(between)
    assert (found.job, found.rows, found.total) == (
        bill("2", logical_date=datetime(2026, 11, 2, tzinfo=UTC), dag_id="d0").job,
        bill().rows,
        bill().total,
    )
    assert table.totals("day", since=date(2026, 11, 3), where=JobFilter(dag_id="d0")) == []
    assert [group.group for group in table.totals("day", since=date(2026, 11, 2))] == [
        (date(2026, 11, 2),),
        (date(2026, 11, 3),),
    ]


def test_the_day_is_the_logical_date_else_the_creation_else_the_recording(bill):
    assert bill().day == date(2026, 11, 21)
    assert bill(logical_date=None).day == date(2026, 11, 21)
    assert bill(logical_date=None, create_time=None).day == date(2026, 11, 22)


def test_a_hundred_jobs_are_listed_and_summed(table, bill):
    for number in range(100):
        table.record(bill(str(number)))
    assert len(table.jobs()) == 100
    [group] = table.totals("spec")
    assert (group.total.amount, group.jobs) == (Decimal("0.0775"), 100)


def _record(url, barrier, version):
    from vertex_batch.costs import CostTable as Table

    table = Table(url)
    barrier.wait(30)
    for _ in range(5):
        table.record(version)


def test_processes_that_start_at_once_migrate_once_and_leave_one_whole_bill(database_url, bill, line):
    """No table is there yet: all of them create the schema, then all write bills of the same job."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(3)
    versions = [bill(items=[line(n, model=f"m{i}") for i in range(n)], note=str(n)) for n in range(1, 4)]
    writers = [context.Process(target=_record, args=(database_url, barrier, version)) for version in versions]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    applied = query(database_url, "SELECT version FROM cost_schema_version ORDER BY version")
    assert [row["version"] for row in applied] == [migration.version for migration in MIGRATIONS]
    left = CostTable(database_url).bill(JobId(*PLACE, "101"))
    assert left == versions[int(left.job.note) - 1]


def test_a_naive_time_is_refused(table, bill):
    naive = bill(start_time=datetime(2026, 11, 22))  # noqa: DTZ001 - the point of the test
    with pytest.raises(CostTableSetupError, match="time zone"):
        table.record(naive)


def test_an_error_inside_leaves_the_old_bill_whole(table, bill, line):
    table.record(bill())
    twice = replace(bill(), line_items=(line(1), line(2)))  # the same key twice
    with pytest.raises(CostTableSetupError):
        table.record(twice)
    assert table.bill(JobId(*PLACE, "101")) == bill()


def test_a_snapshot_stays_as_it_is_while_bills_are_written(table, bill):
    table.record(bill("101"))
    with table.snapshot() as page:
        assert [each.jobs for each in page.totals("spec")] == [1]
        table.record(bill("102"))
        assert page.count(JobFilter()) == len(page.jobs()) == 1
    assert table.count(JobFilter()) == 2


def test_an_error_beside_the_table_goes_through_a_snapshot_as_it_is(table, bill):
    table.record(bill("101"))
    with pytest.raises(FileNotFoundError), table.snapshot():
        raise FileNotFoundError("of something else")


def test_whether_it_is_ready_is_told_without_creating_anything(tmp_path):
    fresh = CostTable(f"sqlite:///{tmp_path}/none/costs.db")
    assert not fresh.is_ready()
    assert not (tmp_path / "none").exists()


def test_it_is_ready_once_a_bill_was_recorded(table, bill, database_url):
    assert not table.is_ready()
    table.record(bill())
    assert CostTable(database_url).is_ready()


def test_jobs_of_certain_dags_only(table, bill):
    for number, dag in enumerate(("a", "b", "c")):
        table.record(bill(str(number), dag_id=dag))
    found = table.jobs(JobFilter(dag_ids=frozenset({"a", "c", "unknown"})))
    assert {cost.job.dag_id for cost in found} == {"a", "c"}
    assert table.jobs(JobFilter(dag_ids=frozenset())) == []
    assert table.owners() == Owners(frozenset({"a", "b", "c"}))


def test_jobs_without_a_dag_are_found_by_their_spec(table, bill):
    for number, (dag, spec) in enumerate((("a", "a"), ("", "a"), ("", "b"), ("", ""), ("b", "a"))):
        table.record(bill(str(number), dag_id=dag, spec=spec))
    assert table.owners() == Owners(frozenset({"a", "b"}), frozenset({"a", "b", ""}))
    where = JobFilter(dag_ids=frozenset({"a"}), specs_without_dag=frozenset({"a"}))
    assert {cost.job.job_id for cost in table.jobs(where)} == {"0", "1"}
    assert (table.count(where), table.count(JobFilter())) == (2, 5)
    assert sum(total.jobs for total in table.totals("model", where=where)) == 2


def test_search_takes_signs_as_they_are(table, bill):
    table.record(bill("1", spec="100%_sure"))
    table.record(bill("2", spec="100 percent sure"))
    assert [cost.job.job_id for cost in table.jobs(JobFilter(text="0%_S"))] == ["1"]


def test_pages_of_jobs_hold_each_job_once(table, bill):
    for number in range(5):
        table.record(bill(str(number)))
    pages = [table.jobs(limit=2, offset=offset) for offset in (0, 2, 4)]
    assert [cost.job.job_id for page in pages for cost in page] == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("by", ["spec", "model", "team", "kind"])
def test_sums_by_day_and_group_add_up_to_the_sums_by_group(table, bill, by):
    for number, day in enumerate((1, 1, 2)):
        table.record(bill(str(number), logical_date=datetime(2026, 11, day, tzinfo=UTC)))
    daily = table.totals(f"{by}_day")
    assert {total.group[1].day for total in daily} == {1, 2}
    for whole in table.totals(by):
        parts = [each for each in daily if each.group[0] == whole.group[0]]
        assert sum(each.total.amount for each in parts) == whole.total.amount
        assert sum(each.jobs for each in parts) == whole.jobs == 3


def test_jobs_are_sorted_by_what_is_asked_for_and_what_is_equal_by_the_latest(table, bill, line):
    table.record(bill("cheap", items=[line(1)]))
    table.record(bill("dear", items=[line(1000)]))
    table.record(bill("unpriced", items=[line(1, None)]))
    by_cost = [cost.job.job_id for cost in table.jobs(sort="cost")]
    assert by_cost == ["dear", "cheap", "unpriced"]
    assert [cost.job.job_id for cost in table.jobs(sort="cost", ascending=True)] == by_cost[::-1]


def test_which_of_some_jobs_are_recorded(table, bill):
    table.record(bill("1"))
    assert table.recorded([(*PLACE, "1"), (*PLACE, "2"), ("other", "us-central1", "1")]) == {(*PLACE, "1")}
    assert table.recorded([]) == frozenset()


def test_the_sums_kept_with_a_job_are_those_of_its_line_items(table, bill, line, database_url):
    """After a recording, after one in its place, and after new prices."""
    unpriced, at_list_price = line(3, None, kind=Kind.OUTPUT), standard(line(7))
    table.record(bill("1", items=[at_list_price, unpriced]))
    assert kept(database_url) == added_up(database_url) == [(1050000, 1, 10, 1050000, 1)]
    table.record(bill("1", items=[line(9)]))
    assert kept(database_url) == added_up(database_url) == [(1350000, 0, 9, 0, 1)]
    table.reprice(JobId(*PLACE, "1"), lambda latest: replace(latest, line_items=(line(9, None),)))
    assert kept(database_url) == added_up(database_url) == [(0, 1, 9, 0, 1)]


def test_bills_of_an_older_schema_get_their_sums_when_it_is_upgraded(table, bill, line, database_url):
    table.record(bill("1", items=[standard(line(7)), line(3, None, kind=Kind.OUTPUT)]))
    table.record(bill("2", items=[]))
    execute(
        database_url,
        "DELETE FROM cost_schema_version WHERE version IN (7, 18)",
        *(f"DROP VIEW focus_{name}" for name in ("1_2", "1_4", "charges", "unpriced_usage")),
        *(f"DROP INDEX cost_jobs_{name}" for name in INDEXES),
        "CREATE INDEX cost_jobs_day ON cost_jobs (day)",
        *(f"ALTER TABLE cost_jobs DROP COLUMN {name}" for name in (*KEPT, "failed_samples")),
    )
    assert not CostTable(database_url).is_ready()
    CostTable(database_url).migrate()
    assert kept(database_url) == added_up(database_url) == [(1050000, 1, 10, 1050000, 1), (0,) * 5]


def test_the_sums_kept_of_models_and_kinds_are_those_of_the_line_items(table, bill, line, database_url):
    """After a recording, after one in its place, after new prices, and without the job."""
    items = [standard(line(7)), line(2, model="other"), line(3, None, kind=Kind.OUTPUT)]
    table.record(bill("1", items=items))
    table.record(bill("2", items=[line(5)]))
    assert sums_kept(database_url, "kind") == sums_added_up(database_url, "kind")
    assert sums_kept(database_url, "model") == sums_added_up(database_url, "model")
    assert [row[:2] for row in sums_kept(database_url, "kind")] == [
        ("1", "input"),
        ("1", "output"),
        ("2", "input"),
    ]
    table.record(bill("1", items=[line(9), line(4, model="third")]))
    assert sums_kept(database_url, "kind") == sums_added_up(database_url, "kind")
    table.reprice(JobId(*PLACE, "1"), lambda latest: replace(latest, line_items=(line(9, None),)))
    assert sums_kept(database_url, "model") == sums_added_up(database_url, "model")
    assert len(sums_kept(database_url, "model")) == 2


def test_a_note_of_any_length_is_kept_and_its_beginning_found(table, bill):
    table.record(bill("1", note="Grüße " + "".join(chr(0x1F600 + n % 80) for n in range(5000))))
    (found,) = table.jobs(JobFilter(text="GRÜSSE"[:3]))
    assert len(found.job.note) == 5006


def test_an_older_table_gets_the_sums_of_models_and_kinds(table, bill, line, database_url):
    items = [standard(line(7)), line(2, model="other"), line(3, None, kind=Kind.OUTPUT)]
    table.record(bill("1", items=items))
    table.record(bill("2", items=[]))
    before = table.totals("model"), table.totals("kind_day"), table.jobs(JobFilter(text="GEMINI"))
    execute(
        database_url,
        "DELETE FROM cost_schema_version WHERE version = 8",
        "DROP TABLE cost_job_sums",
        "DROP INDEX cost_jobs_unpriced",
        "DROP INDEX cost_jobs_searched",
        "ALTER TABLE cost_jobs DROP COLUMN searched",
    )
    again = CostTable(database_url)
    assert not again.is_ready()
    assert (again.totals("model"), again.totals("kind_day"), again.jobs(JobFilter(text="GEMINI"))) == before
    assert sums_kept(database_url, "kind") == sums_added_up(database_url, "kind")


@pytest.mark.parametrize(
    "where",
    [
        JobFilter(state="FAILED"),
        JobFilter(run_id="second"),
        JobFilter(text="SECOND", team="b"),
        JobFilter(job_ids=frozenset({"2"}), project="demo-project"),
        JobFilter(only=("team", frozenset({"b"})), dag_ids=frozenset({"d"}), since=date(2026, 1, 1)),
    ],
)
def test_models_and_kinds_are_summed_of_the_jobs_that_are_asked_for(table, bill, line, where):
    facts = {"dag_id": "d", "spec": "s"}
    table.record(bill("1", items=[line(7)], run_id="first", team="a", state="SUCCEEDED", **facts))
    both = [line(2), line(3, kind=Kind.OUTPUT)]
    table.record(bill("2", items=both, run_id="second", team="b", state="FAILED", **facts))
    assert [(each.group, each.tokens, each.jobs) for each in table.totals("kind", where=where)] == [
        (("input",), 2, 1),
        (("output",), 3, 1),
    ]
    [of_model] = table.totals("model_day", where=where)
    assert (of_model.group[0], of_model.tokens, of_model.jobs) == ("gemini-2.5-flash", 5, 1)


def sums_kept(url, part):
    columns = "amount_picousd, unpriced_line_items, tokens, saved_picousd, saved_unknown_line_items"
    rows = query(url, f"SELECT job_id, name, {columns} FROM cost_job_sums WHERE part = '{part}'")
    return sorted(tuple(row.values()) for row in rows)


def sums_added_up(url, part):
    saved = "standard_amount_picousd - amount_picousd"
    found = query(
        url,
        f"SELECT job_id, {part}, COALESCE(SUM(amount_picousd), 0), COUNT(*) - COUNT(amount_picousd) AS a,"
        f" SUM(tokens) AS b, COALESCE(SUM({saved}), 0) AS c, COUNT(*) - COUNT({saved}) AS d"
        f" FROM cost_line_items GROUP BY job_id, {part}",
    )
    return sorted(
        (job_id, name, *(int(number) for number in numbers))
        for job_id, name, *numbers in map(dict.values, found)
    )


def standard(item):
    """The line item, at a standard rate of twice as much."""
    return replace(
        item,
        standard_unit_price_usd=2 * item.unit_price_usd,
        standard_amount_usd=2 * item.amount_usd,
        standard_source="packaged",
    )


def kept(url):
    return _columns(url, "cost_jobs")


def added_up(url):
    return _columns(url, "cost_by_job")


def _columns(url, name):
    rows = query(url, f"SELECT {', '.join(KEPT)} FROM {name} ORDER BY job_id")
    return [tuple(int(row[column]) for column in KEPT) for row in rows]


def test_jobs_are_chosen_by_id_and_none_by_an_empty_choice(table, bill):
    for number in range(3):
        table.record(bill(str(number)))
    chosen = JobFilter(job_ids=frozenset({"0", "2", "x' OR '1'='1"}))
    assert {cost.job.job_id for cost in table.jobs(chosen)} == {"0", "2"}
    assert {total.group[2] for total in table.totals("job", where=chosen)} == {"0", "2"}
    assert table.jobs(JobFilter(job_ids=frozenset())) == []


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["7"], {"p/us-central1/7", "p/global/7", "q/global/7"}),
        (["p/global/7"], {"p/global/7"}),
        (["projects/42/locations/global/batchPredictionJobs/7"], {"p/global/7", "q/global/7"}),
        (["q/global/7", "8"], {"q/global/7", "p/global/8"}),
        (["r/global/7", "x' OR '1'='1"], set()),
        ([], set()),
    ],
)
def test_jobs_are_chosen_by_what_their_names_say(table, bill, names, expected):
    for place in (
        ("p", "us-central1", "7"),
        ("p", "global", "7"),
        ("q", "global", "7"),
        ("p", "global", "8"),
    ):
        table.record(bill(place[2], project=place[0], location=place[1]))
    named = frozenset(JobName(text) if "'" in text else parse_job_name(text) for text in names)
    where = JobFilter(named=named)
    assert {str(cost.job) for cost in table.jobs(where)} == expected
    assert {"/".join(total.group) for total in table.totals("job", where=where)} == expected


def test_what_has_no_price_is_told_by_model_kind_and_reason(table, bill, line):
    for number in range(2):
        table.record(bill(str(number), items=[line(7), line(3, None, kind=Kind.OUTPUT)]))
    table.record(bill("priced", items=[line(1)]))
    (found,) = table.unpriced(JobFilter())
    assert (found.model, found.kind, found.reason) == ("gemini-2.5-flash", "output", "no price")
    assert (found.jobs, found.tokens) == (2, 6)
    assert table.unpriced(JobFilter(spec="other")) == []


def test_the_focus_rows_of_some_jobs_are_those_of_the_view(table, bill, line):
    table.record(bill("1", items=[line(7)], dag_id="a"))
    table.record(bill("2", items=[line(3)], dag_id="b"))
    names, *rows = table.focus(JobFilter(dag_ids=frozenset({"b"})))
    (row,) = (dict(zip(names, values, strict=True)) for values in rows)
    assert (row["x_JobId"], int(row["x_BilledPicoUsd"])) == ("2", 450000)


def test_some_specs_and_all_others_make_the_whole(table, bill, line):
    for number, spec in enumerate(("a", "b", "c")):
        table.record(bill(str(number), items=[line(number + 1)], spec=spec))
    some = ("spec", frozenset({"a", "c"}))
    kept = [total.group for total in table.totals("spec", where=JobFilter(only=some))]
    assert kept == [("a",), ("c",)]
    assert [total.group for total in table.totals("spec", where=JobFilter(but=some))] == [("b",)]
