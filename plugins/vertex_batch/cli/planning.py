"""What a spec would submit on a date, determined without submitting anything."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from math import ceil
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

from vertex_batch.billing.price_books import PriceBooks, spec_job
from vertex_batch.budgets import (
    Decision,
    Estimate,
    Payer,
    Ruling,
    Sums,
    decision_on,
    estimate,
    survey_input,
)
from vertex_batch.cli.access import Access, input_storage
from vertex_batch.cli.history import History, read_history, read_sums, why_unread
from vertex_batch.cli.output import text_of
from vertex_batch.cli.paths import open_local, open_memory
from vertex_batch.cli.progress import byte_progress
from vertex_batch.costs import JobFacts, add_totals
from vertex_batch.errors import ConfigurationError, InputMissingError, VertexBatchError
from vertex_batch.inputs import (
    InputPart,
    JobLimits,
    PartKind,
    StagingPlace,
    draw,
    file_pattern,
    limits_for,
    rows_in,
)
from vertex_batch.inputs.preparation import SampleRequest, in_order, shards_of
from vertex_batch.preflight import Report, Subject, inspect
from vertex_batch.pricing import PriceBook, retirement_of
from vertex_batch.specs.model import JobSpec, Spec
from vertex_batch.specs.rendering import RenderedJob, render_job
from vertex_batch.specs.team_budgets import limits_of_job
from vertex_batch.usage import canonical_model
from vertex_batch.vertex.client import BatchClient, try_proxy
from vertex_batch.vertex.names import Place
from vertex_batch.vertex.request import build_request
from vertex_batch.vertex.resource import CreateJobRequest

if TYPE_CHECKING:
    from vertex_batch.storage import ObjectStorage, SourceObject

_SAMPLE = "memory://the-sample.jsonl"
_SOON = timedelta(days=14)
"""How far ahead of a plan's day a change of prices is named."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One job of a spec on a date.

    :param report: the result of its pre-flight; None if nothing was checked.
    :param problem: why it could not be checked, or what is missing; empty if there is no problem.
    :param estimate: its expected cost; None if its input was not read, or if nothing would be submitted.
    :param not_asked: what was not checked, because no proxy is configured; empty if one is.
    :param history: what earlier jobs of the same task and model used; empty if it was not read.
    :param shards: the rows of each job that the input would be split into; empty if one job reads it.
    :param day: the UTC day on which it would run, whose prices hold: that of its date, or today if that has
        passed; None: today.
    :param life: what the price lists say of the end of the model.
    :param new_prices: the first day of the next prices of the model, if it is near.
    :param sample: the rows that it reads instead of the whole input; None: it reads all of them.
    :param whole: of a sample, the expected cost of the whole input.
    :param input_is_chosen: it reads another input than its spec names.
    :param budget: what its budgets would decide, or why that is not known; None: it has no limit or no
        estimate.
    """

    spec: Spec
    job: JobSpec
    rendered: RenderedJob
    place: Place
    request: CreateJobRequest
    report: Report | None = None
    problem: str = ""
    estimate: Estimate | None = None
    shards: tuple[int, ...] = ()
    not_asked: str = ""
    history: History = field(default_factory=History)
    day: date | None = None
    life: tuple[Mapping[str, object], ...] = ()
    new_prices: date | None = None
    sample: InputPart | None = None
    whole: Estimate | None = None
    input_is_chosen: bool = False
    budget: Decision | str | None = None

    @property
    def title(self) -> str:
        return self.spec.name + (f", job {self.job.name}" if self.spec.grouped else "")

    @property
    def retirement(self) -> str:
        """When the model stops, if that is known and near."""
        found = retirement_of(self.request.model, self.life)
        return found.describe(self.day or datetime.now(UTC).date()) if found else ""

    @property
    def limits(self) -> JobLimits:
        """The most that one job may read."""
        return limits_for(self.request.model, self.job.max_rows_per_job, self.job.max_bytes_per_job)

    @property
    def is_local(self) -> bool:
        """Whether its input is on this machine, where no job can read it."""
        return not all("://" in uri for uri in self.rendered.uris)

    @property
    def jobs(self) -> int:
        """The number of jobs by rows and bytes. File boundaries may add a few."""
        if self.report is None or not self.job.may_be_split or self.sample:
            return 1
        by_size = ceil(self.report.size_bytes / self.limits.max_bytes)
        return max(1, ceil(self.report.rows / self.limits.max_rows), by_size)

    @property
    def ruling(self) -> Ruling:
        """The verdict of its budgets."""
        return self.budget.verdict if isinstance(self.budget, Decision) else Ruling.GO

    @property
    def is_hopeless(self) -> bool:
        """Whether a submission would certainly be refused or fail."""
        fails = self.report is not None and self.report.is_hopeless
        return bool(self.problem) or fails or self.ruling is Ruling.REFUSE

    @property
    def is_refused(self) -> bool:
        """Whether nothing would be submitted. A pre-flight that only warns submits a job that will fail."""
        stops = self.job.preflight == "strict" or self.ruling is Ruling.REFUSE
        return bool(self.problem) or (self.is_hopeless and stops)


def prepare(
    access: Access,
    spec: Spec,
    job: JobSpec,
    moment: datetime,
    *,
    offline: bool = False,
    inputs: Sequence[str] = (),
) -> Plan:
    """Render a job and build its request, without checking anything outside.

    :param offline: an unknown project or location is not an error.
    :param inputs: replace the spec's, as the form's field `input` does; they are never rendered. All of them
        may be local.
    :raises ConfigurationError: it does not render, or its project or location is not set.
    """
    rendered = render_job(spec, job, moment)
    if inputs:
        rendered = replace(rendered, uris=tuple(map(file_pattern, inputs)))
    try:
        place = access.place(rendered.project, rendered.location, job.connection)
    except ConfigurationError:
        if not offline:
            raise
        unknown = "(the connection's)"
        place = Place(rendered.project or unknown, rendered.location or unknown)
    try:
        request = _request(spec, job, rendered, rendered.uris)
    except ValueError as error:
        message = f"{spec.file or spec.name}: job {job.name}: {error}. Nothing was submitted."
        raise ConfigurationError(message) from error
    day = max(moment.astimezone(UTC).date(), datetime.now(UTC).date())
    return Plan(spec, job, rendered, place, request, day=day, input_is_chosen=bool(inputs))


def look(
    access: Access,
    plan: Plan,
    prices: Path | None = None,
    *,
    estimate: bool = True,
    cost_table: str | None = None,
    sample: SampleRequest | None = None,
) -> Plan:
    """Check a job's model, locations and rows, and estimate its cost.

    :param prices: folder with price files for all specs.
    :param cost_table: URL of the table with earlier jobs; None: that of the spec's `cost_connection`.
    :param sample: only these rows are checked. Their cost is estimated, and that of all rows.
    :raises ConfigurationError: the job cannot run a sample.
    """
    if sample:
        _check_samples(plan)
    job, rendered = plan.job, plan.rendered
    subject = Subject(
        *(plan.request.model, plan.place.location, rendered.uris),
        output="" if plan.is_local else rendered.output,
        deliver_to="" if plan.is_local else rendered.delivery,
        may_be_split=job.may_be_split,
        day=plan.day,
        failure_limits=job.failure_limits,
        key=(job.results and job.results.key) or "",
    )
    found, guess, problem = None, None, ""
    shards: tuple[int, ...] = ()
    opened, not_asked = _client(access, job.connection)
    with opened as client:
        try:
            if client is not None:
                # Every later step needs the proxy, and reading the inputs may take minutes.
                try_proxy(client, *plan.place)
        except VertexBatchError as error:
            return replace(plan, problem=f"The inputs were not checked. {text_of(error)}")
        try:
            storage = None
            if not subject.reads_table:
                storage = open_local() if plan.is_local else input_storage(job.storage_connection)
            objects = storage.find(rendered.uris) if storage else []
            read_from, read, places = storage, objects, dict[str, str]()
            with byte_progress(f"Reading {plan.spec.name}", sum(item.size for item in objects)) as progress:
                if sample and storage:
                    plan, read_from, places = _with_sample(plan, sample, storage, objects, progress)
                    subject, read = replace(subject, output=""), read_from.find([_SAMPLE])
                found = inspect(subject, read_from, client, objects=read, progress=progress).moved(places)
            if storage and job.may_be_split and not sample:
                shards = _shards(plan, found, objects, storage)
            if estimate and storage and read_from:
                plan = replace(plan, report=found)
                plan = replace(plan, history=read_history(plan, cost_table, objects))
                book = _price_book(plan, client, prices)
                plan = replace(plan, life=tuple(book.life_of(plan.request.model)))
                day = plan.day or datetime.now(UTC).date()
                changes = book.change_days(plan.request.model, day, day + _SOON)
                plan = replace(plan, new_prices=next(iter(changes), None))
                guess = _estimate(plan, read, read_from, book, found.rows, failing=found.bad_rows)
                if plan.sample:
                    rows = plan.sample.of_rows or 0
                    plan = replace(plan, whole=_estimate(plan, objects, storage, book, rows))
        except VertexBatchError as error:
            problem = text_of(error)
    return replace(plan, report=found, problem=problem, estimate=guess, shards=shards, not_asked=not_asked)


def weigh(plan: Plan, file: Path | None, cost_table: str | None, before: Sequence[Plan] = ()) -> Plan:
    """Decide as the task's budget check would, if it ran now; nothing is reserved.

    :param file: with the limits of teams.
    :param cost_table: as for `look`.
    :param before: the plans of other jobs of the run; those that would be submitted are reserved.
    """
    if not plan.estimate:
        return plan
    team = plan.request.labels.get("team", "")
    budget = plan.spec.budget.to_budget() if plan.spec.budget else None
    try:
        rules = limits_of_job(plan.spec.name, budget, team, file)
    except VertexBatchError as error:
        return replace(plan, problem=f"No job is submitted while the limits of teams cannot be read: {error}")
    if not rules.limits:
        return plan
    try:
        sums = dict(read_sums(plan, cost_table, rules))
    except (ImportError, VertexBatchError) as error:
        return replace(plan, budget=f"not checked: {why_unread(error)}")
    for other in before:
        if not other.estimate or other.is_refused or other.ruling is Ruling.HOLD:
            continue
        for account in rules.accounts:
            if account.payer is not Payer.TEAM or other.request.labels.get("team") == account.name:
                charged = sums.get(account, Sums())
                reserved = add_totals([charged.reserved, other.estimate.expected])
                sums[account] = replace(charged, reserved=reserved)
    return replace(plan, budget=decision_on(plan.estimate, rules)(sums))


def _check_samples(plan: Plan) -> None:
    """Refuse a job that cannot run a sample."""
    if not plan.job.may_be_split or all(uri.startswith("bq://") for uri in plan.rendered.uris):
        raise ConfigurationError(
            f"{plan.spec.name} cannot run a sample: its spec says `split: off`, or it reads a table",
            "leave out `--sample`, or name a smaller input with `--input`",
        )


def _with_sample(
    plan: Plan,
    wish: SampleRequest,
    storage: ObjectStorage,
    objects: Sequence[SourceObject],
    progress: Callable[[int], None],
) -> tuple[Plan, ObjectStorage, dict[str, str]]:
    """The plan of a sample, a store in memory with its rows, which a run writes into an object, and the place
    of each row in the input by that in the sample.

    :raises InputMissingError: there are no rows to draw from.
    :raises VertexBatchError: an input or the output's bucket cannot be read.
    """
    rendered = plan.rendered
    if not plan.is_local:
        storage.check_output(rendered.output)

    starts: list[tuple[int, str]] = []

    def lines() -> Iterator[bytes]:
        number = 0
        for source, stream in storage.read_each(in_order(objects)):
            starts.append((number, source.uri))
            for line in rows_in(stream, source.uri):
                number += 1
                progress(len(line))
                yield line

    drawn = draw(lines(), wish.rows, wish.seed, ", ".join(rendered.uris))
    if not drawn.rows:
        raise InputMissingError(dict.fromkeys(rendered.uris, "holds no rows"))
    uri = f"{StagingPlace.of(rendered.output, plan.job.staging, 'RUN').folder}SAMPLE.jsonl"
    part = InputPart(PartKind.SAMPLE, (uri,), rows=len(drawn.rows), of_rows=drawn.of_rows, seed=wish.seed)
    memory = open_memory()
    memory.write(_SAMPLE, drawn.rows)
    output, name = part.output(rendered.output), part.named(rendered.display_name)
    labels = {**rendered.labels, **part.labels}
    rendered = replace(rendered, output=output, display_name=name, labels=labels)
    request = _request(plan.spec, plan.job, rendered, part.uris)
    places = {}
    for row, number in enumerate(drawn.lines, 1):
        start, source = starts[bisect_left(starts, number, key=itemgetter(0)) - 1]
        places[f"{_SAMPLE}:{row}"] = f"{source}:{number - start}"
    return replace(plan, rendered=rendered, request=request, sample=part), memory, places


def _request(spec: Spec, job: JobSpec, rendered: RenderedJob, uris: Sequence[str]) -> CreateJobRequest:
    return build_request(
        model=job.model,
        uris=uris,
        output=rendered.output,
        display_name=rendered.display_name,
        labels=rendered.labels,
        spec=spec.name,
        model_parameters=rendered.parameters,
    )


def _shards(
    plan: Plan, report: Report, objects: Sequence[SourceObject], storage: ObjectStorage
) -> tuple[int, ...]:
    """How many rows each job would read, if one job may not read them all."""
    if plan.limits.fits(report.rows, report.size_bytes):
        return ()
    return tuple(shard.rows for shard in shards_of(storage, in_order(objects), plan.limits))


def _price_book(plan: Plan, client: BatchClient | None, prices: Path | None) -> PriceBook:
    """The rates in force for a job, in the order in which a bill uses them."""
    facts = JobFacts(*plan.place, "", spec=plan.spec.name, task_id=plan.job.name)
    return PriceBooks(client, prices, {spec_job(facts): plan.job.prices or None}).book_of(facts)


def _estimate(
    plan: Plan,
    objects: Sequence[SourceObject],
    storage: ObjectStorage,
    book: PriceBook,
    rows: int,
    *,
    failing: int = 0,
) -> Estimate | None:
    """Estimate as the budget check of a run does; None if nothing would be submitted."""
    if plan.is_refused:
        return None
    model = plan.request.model
    long_context = book.thresholds().get(canonical_model(model))
    survey = survey_input(storage, objects, model, long_context, rows or None).without_failing(failing)
    return estimate(
        survey,
        model,
        plan.place.location,
        book,
        plan.history.jobs,
        day=plan.day,
        failure_limits=plan.job.failure_limits,
    )


def _client(
    access: Access, connection: str
) -> tuple[AbstractContextManager[BatchClient] | AbstractContextManager[None], str]:
    """A client, or None and what is not checked, if no proxy is configured: a plan is useful without it.

    :raises ConfigurationError: the user named a proxy that cannot be used.
    """
    try:
        return access.client(connection), ""
    except ConfigurationError as error:
        if access.names_proxy:
            raise
        return nullcontext(None), (
            f"the proxy was not contacted, so its access, its models and its prices are unknown: {error}"
        )
