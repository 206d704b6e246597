"""deploy/kubernetes, checked as far as it can be without a cluster: against the schemas of those who read it.

The chart's complete schema is not here (`tools/helm_schema.py`); HELM_CHART names a folder that has it.
"""

import json
import os
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import airflow
import jsonschema
import pytest
import yaml
from airflow.jobs.dag_processor_job_runner import DagProcessorJobRunner
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
from airflow.jobs.triggerer_job_runner import TriggererJobRunner
from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator
from kubernetes.client import ApiClient

from local.docker import compose
from tools import helm_schema
from vertex_batch import __version__

FOLDER = helm_schema.VALUES
VALUES = helm_schema.load_values()
MAIN = VALUES["values.yaml"]
POD: dict[str, Any] = yaml.safe_load((FOLDER / "pod-template.yaml").read_text())
CONTAINER = POD["spec"]["containers"][0]


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(helm_schema.REDUCED.read_text())
    return content


class TestTheValues:
    @pytest.mark.parametrize("name", VALUES)
    def test_they_are_what_the_chart_reads(self, name, schema):
        jsonschema.Draft7Validator.check_schema(schema)
        assert helm_schema.problems(schema, VALUES[name]) == []

    @pytest.mark.skipif("HELM_CHART" not in os.environ, reason="HELM_CHART: a folder with Airflow's chart")
    def test_the_complete_schema_agrees(self, schema):
        complete = json.loads((Path(os.environ["HELM_CHART"]) / "values.schema.json").read_text())
        assert [problem for each in VALUES.values() for problem in helm_schema.problems(complete, each)] == []
        again = helm_schema.reduced(complete, complete, VALUES.values())
        assert again == {key: value for key, value in schema.items() if key != "$comment"}

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            (("triggerer", "replica"), 2),
            (("triggerer", "replicas"), "two"),
            (("securityContexts", "container"), {}),
            (("executor",), 3),
            (("createUserJob", "env"), [{"value": "without a name"}]),
        ],
    )
    def test_a_misspelt_key_and_a_wrong_type_are_refused(self, path, value, schema):
        wrong = deepcopy(MAIN)
        node = wrong
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = value
        assert helm_schema.problems(schema, wrong) != []

    def test_the_settings_are_options_that_airflow_has(self):
        core = yaml.safe_load((Path(airflow.__file__).parent / "config_templates" / "config.yml").read_text())
        for section, options in MAIN["config"].items():
            for option in options:
                known = option in core.get(section, {}).get("options", {})
                assert known or (section, option) == ("vertex_batch", "deployment"), (section, option)

    def test_the_probes_ask_for_the_heartbeat_of_the_component(self):
        runners = {
            "scheduler": SchedulerJobRunner,
            "dagProcessor": DagProcessorJobRunner,
            "triggerer": TriggererJobRunner,
        }
        for component, runner in runners.items():
            *command, job_type = MAIN[component]["livenessProbe"]["command"]
            assert command == ["python", "/opt/airflow/deploy/heartbeat.py"]
            assert job_type == runner.job_type
        assert (compose.ROOT / "deploy" / "image" / "heartbeat.py").exists()

    def test_a_triggerer_waits_for_as_many_jobs_as_in_compose_and_another_takes_over(self):
        example = compose.parse_settings(compose.EXAMPLE.read_text())
        assert MAIN["config"]["triggerer"]["capacity"] == int(example["TRIGGERER_CAPACITY"])
        assert MAIN["triggerer"]["replicas"] > 1


class TestThePodTemplate:
    def test_airflows_own_reader_takes_every_key(self):
        pod = PodGenerator.deserialize_model_file(str(FOLDER / "pod-template.yaml"))
        # The client drops what its classes do not know, so a misspelt key would be missing here.
        assert ApiClient().sanitize_for_serialization(pod) == POD

    def test_its_first_container_is_the_one_that_airflow_changes(self):
        assert CONTAINER["name"] == "base"
        assert len(POD["spec"]["containers"]) == 1
        assert POD["spec"]["restartPolicy"] == "Never"

    def test_it_agrees_with_the_values(self):
        assert CONTAINER["image"] == f"{MAIN['defaultAirflowRepository']}:{MAIN['defaultAirflowTag']}"
        assert POD["spec"]["securityContext"] == MAIN["securityContexts"]["pod"]
        assert CONTAINER["securityContext"] == MAIN["securityContexts"]["containers"]
        assert CONTAINER["envFrom"] == yaml.safe_load(MAIN["extraEnvFrom"])
        environment = {entry["name"]: entry.get("value") for entry in CONTAINER["env"]}
        assert environment["AIRFLOW__CORE__EXECUTOR"] == MAIN["executor"]

    def test_a_task_keeps_nothing_on_a_disk_that_outlives_it(self):
        kinds = {next(iter(volume.keys() - {"name"})) for volume in POD["spec"]["volumes"]}
        assert kinds == {"configMap", "emptyDir"}
        assert MAIN["config"]["logging"]["remote_logging"] == "True"


def test_no_secret_is_in_the_files_and_every_one_that_is_named_is_in_the_documentation():
    documentation = (compose.ROOT / "docs" / "deployment.md").read_text()
    text = "\n".join(path.read_text() for path in FOLDER.iterdir())
    references = (
        r"SecretName: (\S+)",
        r"secretKeyRef: {name: ([\w-]+)",
        r"secretRef:\n\s+name: (\S+)",
        r"credentialsSecret: (\S+)",
    )
    names = {name for reference in references for name in re.findall(reference, text)}
    assert len(names) == 7
    assert [name for name in sorted(names) if f"secret generic {name} " not in documentation] == []
    assert not re.search(r"(?im)^ *(password|token|secret|connection): ", text)


def test_the_images_are_those_of_this_version():
    assert MAIN["defaultAirflowTag"] == __version__
    assert f"\napache-airflow=={MAIN['airflowVersion']} " in (compose.ROOT / "requirements.txt").read_text()
