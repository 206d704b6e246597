"""Where the answers of a run are that are not in the file of its spec, and how to put them there. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from vertex_batch.costs import Delivery, JobCost
from vertex_batch.costs.deliveries import answers_stay
from vertex_batch.results import DeliveryPlace, add_rounds, are_lasting, attempts_of
from vertex_batch.specs.results import FORMATS, Results
from vertex_batch.vertex.labels import RETRY_LABEL, RETRY_OF_LABEL

MAX_NAMED = 20


@dataclass(frozen=True, slots=True)
class Restoring:
    """How a person puts the answers of a run into the file of its spec.

    :param to: the file.
    :param outputs: of its jobs, which have the answers if no other file has them.
    :param command: for a shell; empty if the outputs are too many for one, or are not known.
    """

    to: str
    outputs: Sequence[str]
    command: str


def what_stays(delivery: Delivery, jobs: Sequence[JobCost], now: Delivery | None) -> str:
    """Say which better answers to the input of a run stay, or were replaced since; empty if there are none.

    They are of another run, which delivered before; or of this one, which was cleared since, and whose later
    jobs have no more answers.

    :param jobs: of the run.
    :param now: what is at the address of the better answers now (see `Delivery.best_at`); None if no delivery
        that is recorded is there, such as one of the command line.
    """
    if delivery.kept_at:
        return _stay(delivery.kept_answers, delivery, now)
    later = [each for each in jobs if delivery.was_before(each.job)]
    # Rows that were sent again add to the delivery that was before them.
    is_whole = any(RETRY_LABEL not in each.job.labels for each in later)
    is_better = is_whole and sum(each.rows.ok for each in later) <= delivery.delivered
    return _stay(delivery.delivered, delivery, now) if is_better and delivery.delivered else ""


def _stay(answers: int, delivery: Delivery, now: Delivery | None) -> str:
    _, uri = delivery.best_at
    lacking = now.lacking_beside(delivery, are_lasting=are_lasting(now.reasons)) if now else None
    if now is None or now.delivered_at <= delivery.delivered_at:
        return answers_stay(answers, uri, lacking)
    count = "1 answer that was delivered before was"
    if answers != 1:
        count = f"{answers:,} answers that were delivered before were"
    return (
        f"The {count} at {uri} until run {now.run_id} replaced them with {now.delivered:,}"
        f"{str(lacking) or '.'}"
    )


def is_settled(delivery: Delivery, now: Delivery | None) -> bool:
    """Whether there is nothing to do about a delivery of which `what_stays` says something.

    :param now: see `what_stays`.
    """
    return now is None or (now.delivered_at <= delivery.delivered_at and not now.exceptions)


def is_beside(delivery: Delivery, options: tuple[Results, str | None] | None) -> bool:
    """Whether a delivery is beside the file of its spec; False if that is not known.

    :param options: see `spec_files.result_options`.
    """
    names_run = options is None or "run_id" in options[0].to
    return not names_run and _address(delivery) is not None


def restoring(
    delivery: Delivery, jobs: Sequence[JobCost], options: tuple[Results, str | None] | None
) -> Restoring | None:
    """Describe it for a delivery that is beside its file, or was replaced.

    None if it is where it belongs, or has no answers.

    :param jobs: of the run.
    :param options: see `spec_files.result_options`; None if the spec cannot be read, so that only a delivery
        that was replaced is recognized, and without a command.
    """
    if not delivery.delivered:
        return None
    place = _place(delivery)
    if not delivery.replaced_by:
        if not is_beside(delivery, options):
            return None
        place = _address(delivery)
    if place is None:
        return None
    attempts = _attempts([each for each in jobs if delivery.is_of(each.job)])
    is_known = options and not any(RETRY_OF_LABEL in each.job.labels for each in jobs)
    command = _command(attempts, place.answers, options, "--replace") if is_known else ""
    return Restoring(place.answers, _outputs(attempts), command)


def _address(delivery: Delivery) -> DeliveryPlace | None:
    """The address beside which a delivery is, as its name says; None if that has no run in it."""
    names = (f"{delivery.dag_id}.{delivery.run_id}", delivery.run_id)
    place = _place(delivery)
    return next((to for name in names if (to := place.without(name))), None) if place else None


def _place(delivery: Delivery) -> DeliveryPlace | None:
    """Where it was put; None if the cost table has an address of a form that this version does not know."""
    is_known = delivery.answers_uri.endswith(FORMATS)
    return DeliveryPlace(delivery.answers_uri) if is_known else None


def first_delivery(jobs: Sequence[JobCost], options: tuple[Results, str | None] | None) -> str:
    """The command that delivers the answers of a run that has no delivery, into a file here; see `restoring`.

    :param jobs: of the run that one task would have delivered.
    """
    return _command(_attempts(jobs), "answers.jsonl", options)


def _outputs(attempts: Sequence[Sequence[JobCost]]) -> list[str]:
    return [
        each.job.output_directory
        for of_attempt in attempts
        for each in of_attempt
        if each.job.output_directory and each.rows.total
    ]


def _command(
    attempts: Sequence[Sequence[JobCost]], to: str, options: tuple[Results, str | None] | None, *flags: str
) -> str:
    """The command of a delivery; empty if its outputs are too many for one, or are not known."""
    outputs = _outputs(attempts)
    inputs = (
        list(dict.fromkeys(uri for each in attempts[0] for uri in each.job.input_uris)) if outputs else []
    )
    if not (outputs and inputs) or len(inputs) + len(outputs) > MAX_NAMED:
        return ""
    results, schema = options or (None, None)
    job = attempts[0][0].job
    named: list[tuple[str, object]] = [*(("input", uri) for uri in inputs), ("to", to)]
    if results:
        named += [
            ("key", results.key),
            ("answer", results.answer if results.answer != "text" else None),
            ("schema", schema),
            *(("keep", path) for path in results.keep),
        ]
    named += [("model", job.model), ("location", job.location), ("day", job.ran_on)]
    words = [word for name, value in named if value for word in (f"--{name}", str(value))]
    return shlex.join(["vertex-batch", "results", *outputs, *words, *flags])


def _attempts(jobs: Sequence[JobCost]) -> list[list[JobCost]]:
    """The jobs whose outputs make a delivery: those submitted last, and the retries of their rows."""
    mine = sorted(jobs, key=lambda each: each.job.created_at)
    rounds: dict[int, list[JobCost]] = {}
    for each in mine:
        label = each.job.labels.get(RETRY_LABEL, "")
        rounds.setdefault(int(label) if label.isascii() and label.isdigit() else 0, []).append(each)
    first = rounds.pop(0, [])
    last = {(each.job.task_id, each.job.map_index): each for each in first}
    attempts = attempts_of(first, list(last.values()))
    add_rounds(attempts, [rounds[number] for number in sorted(rounds)])
    return [attempts[number] for number in sorted(attempts)]
