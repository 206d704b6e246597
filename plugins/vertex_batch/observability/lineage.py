"""Which data a job read and wrote, in OpenLineage's terms. Pure, except for `to_openlineage`.

Only that function imports OpenLineage, when its provider calls it, so it need not be installed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vertex_batch.vertex.resource import JobReference

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

    from vertex_batch.costs import Bill

SOURCE = "vertex_ai"
_WILDCARDS = "*?["
_BIGQUERY = "bq://"


@dataclass(frozen=True, slots=True)
class Data:
    """A place with data.

    :param rows: how many were read or written; None if unknown.
    """

    uri: str
    rows: int | None = None

    @property
    def dataset(self) -> tuple[str, str]:
        """Namespace and name, as OpenLineage names datasets of Cloud Storage and BigQuery."""
        if self.uri.startswith(_BIGQUERY):
            return "bigquery", self.uri.removeprefix(_BIGQUERY)
        scheme, _, rest = self.uri.partition("://")
        bucket, _, path = rest.partition("/")
        first = min((path.find(c) for c in _WILDCARDS if c in path), default=-1)
        # The dataset of a pattern is its folder, regardless of the files that a run finds there.
        name = path[: path.rfind("/", 0, first) + 1] if first >= 0 else path
        return f"{scheme}://{bucket}", name.strip("/") or "/"


@dataclass(frozen=True, slots=True)
class Lineage:
    """The data and the jobs of a task.

    :param job_names: the jobs' resource names, such as ``projects/P/locations/L/batchPredictionJobs/123``.
    """

    inputs: tuple[Data, ...] = ()
    outputs: tuple[Data, ...] = ()
    job_names: tuple[str, ...] = ()


def of_reference(job: JobReference, output: str | None = None, rows: int | None = None) -> Lineage:
    """The lineage of a job that was submitted or waited for.

    :param output: the folder that it wrote; None: its requested output.
    :param rows: the rows in that folder.
    """
    place = output or job.output_prefix
    return Lineage(
        tuple(Data(uri) for uri in job.input_uris),
        (Data(place, rows),) if place else (),
        (job.id.resource_name,),
    )


def of_bills(bills: Iterable[Bill]) -> Lineage:
    """The lineage of recorded jobs, with the rows that they read and answered."""
    inputs: dict[str, Data] = {}
    outputs: list[Data] = []
    names: list[str] = []
    for bill in bills:
        alone = bill.rows.input_rows if len(bill.job.input_uris) == 1 else None
        inputs |= {uri: Data(uri, alone) for uri in bill.job.input_uris}
        if bill.job.output_directory:
            outputs.append(Data(bill.job.output_directory, bill.rows.ok))
        names.append(bill.job.key.resource_name)
    return Lineage(tuple(inputs.values()), tuple(outputs), tuple(names))


def to_openlineage(lineage: Lineage) -> OperatorLineage[Any, Any]:
    """Make OpenLineage's objects. Only its provider calls this, so it is installed."""
    from airflow.providers.openlineage.extractors import OperatorLineage  # noqa: PLC0415 - see above
    from openlineage.client.event_v2 import InputDataset, OutputDataset  # noqa: PLC0415
    from openlineage.client.facet_v2 import (  # noqa: PLC0415
        external_query_run,
        input_statistics_input_dataset,
        output_statistics_output_dataset,
    )

    read, written = (
        input_statistics_input_dataset.InputStatisticsInputDatasetFacet,
        output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet,
    )
    run_facets: dict[str, Any] = {}
    if lineage.job_names:
        facet = external_query_run.ExternalQueryRunFacet
        run_facets["externalQuery"] = facet(externalQueryId=",".join(lineage.job_names), source=SOURCE)
    return OperatorLineage(
        inputs=[
            InputDataset(*data.dataset, inputFacets=_rows("inputStatistics", read, data))
            for data in _once(lineage.inputs)
        ],
        outputs=[
            OutputDataset(*data.dataset, outputFacets=_rows("outputStatistics", written, data))
            for data in _once(lineage.outputs)
        ],
        run_facets=run_facets,
    )


def _rows(name: str, facet: Any, data: Data) -> dict[str, Any]:
    return {} if data.rows is None else {name: facet(rowCount=data.rows)}


def _once(found: Sequence[Data]) -> list[Data]:
    """Remove duplicate datasets; patterns in one folder are the same dataset."""
    return list({data.dataset: data for data in found}.values())


class ReportsLineage:
    """The methods that OpenLineage's provider calls on an operator. They report what is known by then."""

    lineage: Lineage | None = None

    def get_openlineage_facets_on_start(self, _task_instance: object = None) -> OperatorLineage[Any, Any]:
        return to_openlineage(self.lineage or Lineage())

    get_openlineage_facets_on_complete = get_openlineage_facets_on_start
    get_openlineage_facets_on_failure = get_openlineage_facets_on_start
