"""The same timetable combined with assets: a run at each due time, and whenever the assets have arrived."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
from airflow.sdk import AssetOrTimeSchedule
from airflow.timetables.assets import AssetOrTimeSchedule as SerializedAssetOrTimeSchedule

if TYPE_CHECKING:
    from airflow.models.dag import DagModel
    from airflow.models.dagrun import DagRun
    from airflow.timetables.base import DagRunInfo, TimeRestriction, Timetable


class SerializedDueRunsOrAssets(SerializedAssetOrTimeSchedule):
    """What the scheduler works with. Airflow's own class does not pass these questions on."""

    def next_run_info_from_dag_model(self, *, dag_model: DagModel) -> DagRunInfo | None:
        return self.timetable.next_run_info_from_dag_model(dag_model=dag_model)

    def run_info_from_dag_run(self, *, dag_run: DagRun) -> DagRunInfo:
        return self.timetable.run_info_from_dag_run(dag_run=dag_run)

    def next_dagrun_info_v2(
        self, *, last_dagrun_info: DagRunInfo | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        return self.timetable.next_dagrun_info_v2(last_dagrun_info=last_dagrun_info, restriction=restriction)


@attrs.define(kw_only=True)
class DueRunsOrAssets(AssetOrTimeSchedule):
    """What a DAG file makes, as Airflow's own class of this kind.

    :param timetable: a `DueRunsTimetable`.
    :param assets: as Airflow's class takes them.
    """

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Timetable:
        """Make the scheduler's side of the timetable that was serialized."""
        return SerializedDueRunsOrAssets.deserialize(data)
