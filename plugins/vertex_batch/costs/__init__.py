"""The cost table: bills, the database that stores them, and its queries.

`CostTable` imports SQLAlchemy. It is imported on first use, so that a DAG file that imports an operator does
not load it.
"""

from typing import TYPE_CHECKING, Any

from vertex_batch.costs.bill import (
    COMMAND_LINE,
    Bill,
    JobFacts,
    RowCounts,
    Total,
    add_totals,
    make_bill,
    total,
)
from vertex_batch.costs.csv_text import harmless, stream_csv
from vertex_batch.costs.deliveries import Delivery, DeliverySums, rows_equation
from vertex_batch.costs.errors import (
    CostTableError,
    CostTableSetupError,
    CostTableUnavailableError,
    JobIdTakenError,
)
from vertex_batch.costs.money import exact, in_full, rounded, usd
from vertex_batch.costs.questions import FocusVersion, GroupTotal, JobCost, JobFilter, JobOrder, Owners

if TYPE_CHECKING:
    from vertex_batch.costs.table import CostTable

__all__ = [
    "COMMAND_LINE",
    "Bill",
    "CostTable",
    "CostTableError",
    "CostTableSetupError",
    "CostTableUnavailableError",
    "Delivery",
    "DeliverySums",
    "FocusVersion",
    "GroupTotal",
    "JobCost",
    "JobFacts",
    "JobFilter",
    "JobIdTakenError",
    "JobOrder",
    "Owners",
    "RowCounts",
    "Total",
    "add_totals",
    "exact",
    "harmless",
    "in_full",
    "make_bill",
    "rounded",
    "rows_equation",
    "stream_csv",
    "total",
    "usd",
]


def __getattr__(name: str) -> Any:
    if name == "CostTable":
        from vertex_batch.costs.table import CostTable  # noqa: PLC0415 - see above

        return CostTable
    raise AttributeError(name)
