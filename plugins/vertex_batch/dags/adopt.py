"""Operations: adopt a job that was created outside Airflow, and record its cost."""

from __future__ import annotations

from pathlib import Path

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Param

from vertex_batch.dags.operations import PLACE, RETRIES, operations_dag, place_fields
from vertex_batch.operators import AdoptBatchPredictionJobOperator, AggregateTokenUsageOperator
from vertex_batch.sensors import BatchPredictionJobSensor
from vertex_batch.specs import prices_folder, specs_folder
from vertex_batch.tasks.forms import CONNECTION, connection_field, refuse_unknown_params, text_field

DOC = """
Waits for a job that was created in the Google Cloud console, by a script or by another tool, and records its
cost. Nothing is submitted, and nothing is changed at Vertex. Running it again for the same job records the
same bill again.

* **Job**: its id, `PROJECT/LOCATION/ID`, its resource name, or the address of its page in the console.
* **Model**: only for a job that does not name its model.
* **Team** and **Spec**: shown in the cost table. By default, the job's label `team`, and no spec.
* **Cancel with the run**: cancel the job when its run fails or its task is killed. By default the job keeps
  running, and `record_cost` fails until it has ended. Then clear `record_cost`.

A job that a run of this or of another Airflow submitted is refused: that run records it.
"""


def adopt_dag(file: str) -> DAG:
    form = {
        "job": Param(
            type="string",
            minLength=1,
            maxLength=2000,
            title="Job",
            description_md="Id, `PROJECT/LOCATION/ID`, name `projects/P/locations/L/batchPredictionJobs/ID`,"
            " or console address.",
        ),
        **place_fields("the name's, else the connection's"),
        "model": text_field("Model", "Such as `gemini-3.8-flash`, for a job that does not name its model."),
        "team": text_field("Team", "The team that pays."),
        "spec": text_field("Spec", "The spec's name in the cost table."),
        "note": text_field("Note", "Shown with the bill."),
        "cancel_with_run": Param(False, type="boolean", title="Cancel with the run"),
        "connection": connection_field(),
    }
    description = "Adopt a job created outside Airflow, and record its cost"
    with operations_dag("adopt", description, DOC, form, default_args=RETRIES) as dag:
        adopt = AdoptBatchPredictionJobOperator(
            task_id="adopt",
            pre_execute=refuse_unknown_params,
            job="{{ params.job }}",
            model="{{ params.model or '' }}",
            cancel_with_run="{{ params.cancel_with_run }}",
            litellm_conn_id=CONNECTION,
            **PLACE,
        )
        wait = BatchPredictionJobSensor(
            task_id="wait", job=adopt.output, resubmits=0, litellm_conn_id=CONNECTION
        )
        ended = EmptyOperator(task_id="ended").as_teardown()
        record = AggregateTokenUsageOperator(
            task_id="record_cost",
            submit_task_id="adopt",
            spec="{{ params.spec or '' }}",
            team="{{ params.team or '' }}",
            price_folder=str(prices_folder(specs_folder(Path(file).parent))),
            litellm_conn_id=CONNECTION,
        )
        record.as_teardown(on_failure_fail_dagrun=True)
        adopt >> wait >> ended >> record
    return dag
