"""Inputs of jobs: whether they fit into one job, how they are split otherwise, and samples of them."""

from vertex_batch.inputs.measuring import Measured as Measured
from vertex_batch.inputs.measuring import Measurer as Measurer
from vertex_batch.inputs.measuring import may_be_answered as may_be_answered
from vertex_batch.inputs.measuring import rows_in as rows_in
from vertex_batch.inputs.parts import SHARDS_GROUP as SHARDS_GROUP
from vertex_batch.inputs.parts import InputPart as InputPart
from vertex_batch.inputs.parts import PartKind as PartKind
from vertex_batch.inputs.parts import file_pattern as file_pattern
from vertex_batch.inputs.parts import group_of as group_of
from vertex_batch.inputs.parts import is_group_name as is_group_name
from vertex_batch.inputs.parts import retry_group as retry_group
from vertex_batch.inputs.planning import Shard as Shard
from vertex_batch.inputs.planning import make_shards as make_shards
from vertex_batch.inputs.planning import needs_no_copy as needs_no_copy
from vertex_batch.inputs.planning import settle as settle
from vertex_batch.inputs.plans import InputPlan as InputPlan
from vertex_batch.inputs.plans import plan_of as plan_of
from vertex_batch.inputs.plans import whole_shard as whole_shard
from vertex_batch.inputs.sampling import MAX_SAMPLE_ROWS as MAX_SAMPLE_ROWS
from vertex_batch.inputs.sampling import draw as draw
from vertex_batch.inputs.staging import StagingPlace as StagingPlace
from vertex_batch.inputs.staging import exists_with_size as exists_with_size
from vertex_batch.inputs.staging import stage as stage
from vertex_batch.vertex.limits import JobLimits as JobLimits
from vertex_batch.vertex.limits import limits_for as limits_for
