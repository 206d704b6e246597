"""Job specs: a YAML file -> `Spec`. Works without Airflow; `vertex_batch.dag_factory` makes the DAGs."""

from vertex_batch.specs.load import SpecSet as SpecSet
from vertex_batch.specs.load import check_text as check_text
from vertex_batch.specs.load import job_places as job_places
from vertex_batch.specs.load import load_files as load_files
from vertex_batch.specs.load import load_spec as load_spec
from vertex_batch.specs.load import load_specs as load_specs
from vertex_batch.specs.load import prices_folder as prices_folder
from vertex_batch.specs.load import spec_file as spec_file
from vertex_batch.specs.load import spec_files as spec_files
from vertex_batch.specs.load import specs_folder as specs_folder
from vertex_batch.specs.model import JobSpec as JobSpec
from vertex_batch.specs.model import Spec as Spec
from vertex_batch.specs.parse import spec_of as spec_of
from vertex_batch.specs.problems import BrokenSpecsError as BrokenSpecsError
from vertex_batch.specs.problems import Problem as Problem
from vertex_batch.specs.problems import SpecError as SpecError
from vertex_batch.specs.run_dates import TEMPLATE_DATES as TEMPLATE_DATES
from vertex_batch.specs.run_dates import template_dates as template_dates
from vertex_batch.specs.schema import json_schema as json_schema
