"""The cost table: bills, the database that stores them, and its queries.

`CostTable` imports SQLAlchemy. It is imported on first use, so that a DAG file that imports an operator does
not load it.
"""

from typing import TYPE_CHECKING

from vertex_batch.costs.bill import COMMAND_LINE as COMMAND_LINE
from vertex_batch.costs.bill import Bill as Bill
from vertex_batch.costs.bill import JobFacts as JobFacts
from vertex_batch.costs.bill import RowCounts as RowCounts
from vertex_batch.costs.bill import Total as Total
from vertex_batch.costs.bill import add_totals as add_totals
from vertex_batch.costs.bill import total as total
from vertex_batch.costs.csv_text import daily_csv as daily_csv
from vertex_batch.costs.csv_text import stream_csv as stream_csv
from vertex_batch.costs.deliveries import Delivery as Delivery
from vertex_batch.costs.deliveries import rows_equation as rows_equation
from vertex_batch.costs.errors import CostTableError as CostTableError
from vertex_batch.costs.errors import CostTableNewerError as CostTableNewerError
from vertex_batch.costs.errors import CostTableSetupError as CostTableSetupError
from vertex_batch.costs.errors import CostTableUnavailableError as CostTableUnavailableError
from vertex_batch.costs.errors import JobIdTakenError as JobIdTakenError
from vertex_batch.costs.money import about as about
from vertex_batch.costs.money import exact as exact
from vertex_batch.costs.money import in_full as in_full
from vertex_batch.costs.money import per_million as per_million
from vertex_batch.costs.money import rounded as rounded
from vertex_batch.costs.money import usd as usd
from vertex_batch.costs.questions import FocusVersion as FocusVersion
from vertex_batch.costs.questions import GroupTotal as GroupTotal
from vertex_batch.costs.questions import JobCost as JobCost
from vertex_batch.costs.questions import JobFilter as JobFilter
from vertex_batch.costs.questions import JobOrder as JobOrder
from vertex_batch.costs.questions import Owners as Owners
from vertex_batch.costs.questions import PaysAgain as PaysAgain
from vertex_batch.costs.questions import paid_before as paid_before

if TYPE_CHECKING:
    from vertex_batch.costs.table import CostTable as CostTable


def __getattr__(name: str) -> object:
    if name == "CostTable":
        from vertex_batch.costs.table import CostTable  # noqa: PLC0415 - see above

        return CostTable
    raise AttributeError(name)
