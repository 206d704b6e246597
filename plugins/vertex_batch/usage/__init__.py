"""Output files -> rows -> usage: how many tokens of which kind a job used, and what could not be read."""

from vertex_batch.usage.failure_codes import FailureCause as FailureCause
from vertex_batch.usage.failure_codes import cause_of as cause_of
from vertex_batch.usage.failure_codes import may_pass as may_pass
from vertex_batch.usage.failure_codes import was_not_run as was_not_run
from vertex_batch.usage.files import InputFacts as InputFacts
from vertex_batch.usage.files import input_facts as input_facts
from vertex_batch.usage.files import output_files as output_files
from vertex_batch.usage.files import resumed_output as resumed_output
from vertex_batch.usage.files import scan_output as scan_output
from vertex_batch.usage.models import canonical_model as canonical_model
from vertex_batch.usage.models import is_billed_by_character as is_billed_by_character
from vertex_batch.usage.models import is_tuned_model as is_tuned_model
from vertex_batch.usage.progress import OnProgress as OnProgress
from vertex_batch.usage.progress import Progress as Progress
from vertex_batch.usage.progress import at_most_every as at_most_every
from vertex_batch.usage.scan import Scanner as Scanner
from vertex_batch.usage.scan import ScanOptions as ScanOptions
from vertex_batch.usage.selfcheck import self_check as self_check
from vertex_batch.usage.types import CacheTtl as CacheTtl
from vertex_batch.usage.types import Kind as Kind
from vertex_batch.usage.types import Modality as Modality
from vertex_batch.usage.types import RowProblem as RowProblem
from vertex_batch.usage.types import ScanResult as ScanResult
from vertex_batch.usage.types import Tier as Tier
from vertex_batch.usage.types import Unit as Unit
from vertex_batch.usage.types import UsageKey as UsageKey
