"""The package as users get it: built from the source distribution, installed, and found by Airflow.

Dependencies are linked from this environment, so nothing is downloaded. `make packages`, which sets
`PACKAGES_FROM_INDEX=1`, installs them from the package index instead; that takes minutes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from vertex_batch import __version__

ROOT = Path(__file__).resolve().parents[1]
PROJECT = "airflow-vertex-batch"
FROM_INDEX = bool(os.environ.get("PACKAGES_FROM_INDEX"))
SITE_PACKAGES = Path(sysconfig.get_paths()["purelib"])
SPEC = ROOT / "include" / "jobs" / "nightly_summaries.yaml"
README = (ROOT / "README.md").read_text()
LIBRARY = "vertex_batch/usage/_plain_rows"
AIRFLOW = frozenset({"apache-airflow", "apache-airflow-core", "apache-airflow-providers-google", "gcsfs"})

pytestmark = pytest.mark.timeout(1800 if FROM_INDEX else 300)


@dataclass(frozen=True)
class Installed:
    """A virtual environment in which the package is installed, with a home of its own."""

    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def run(self, program: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        settings = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
            "COLUMNS": "200",
        }
        command = [str(self.folder / "bin" / program), *arguments]
        return subprocess.run(
            command,
            env=settings | environ,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def output(self, program: str, *arguments: str) -> str:
        done = self.run(program, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout or done.stderr

    def airflow(self, *arguments: str) -> list[dict[str, object]]:
        """What a listing of Airflow's command line prints."""
        printed = self.output("python", "-m", "airflow", *arguments, "--output", "json")
        listing: list[dict[str, object]] = json.loads(printed[printed.index("[{") :])
        return listing


def build(source: Path, what: str, folder: Path, **environ: str) -> Path:
    """Build as a front end does, without one."""
    folder.mkdir(exist_ok=True)
    program = f"import sys; from setuptools import build_meta; build_meta.{what}(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        cwd=source,
        env=os.environ | environ,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def sdist(tmp_path_factory) -> Path:
    """The source distribution of what is, or would be, under version control."""
    source = tmp_path_factory.mktemp("source")
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in names:
        if name and (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, source / name)
    return build(source, "build_sdist", tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def unpacked(sdist, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return folder / sdist.name.removesuffix(".tar.gz")


@pytest.fixture(scope="module")
def pure_wheel(unpacked, tmp_path_factory) -> Path:
    return build(unpacked, "build_wheel", tmp_path_factory.mktemp("pure"), CC="/bin/false")


@pytest.fixture(scope="module")
def compiled_wheel(unpacked, tmp_path_factory, pure_wheel) -> Path:
    if not shutil.which("gcc") and not os.environ.get("CI"):
        pytest.skip("there is no C compiler")
    return build(unpacked, "build_wheel", tmp_path_factory.mktemp("compiled"))


@pytest.fixture(scope="module")
def pip(tmp_path_factory) -> Path:
    """An installer in an environment of its own, so that what is tested holds nothing else."""
    folder = tmp_path_factory.mktemp("pip")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=120)
    return folder / "bin" / "pip"


@pytest.fixture(scope="module")
def core(pure_wheel, pip, tmp_path_factory) -> Installed:
    """The package with what it requires, and nothing else."""
    return install(pip, tmp_path_factory.mktemp("core"), pure_wheel)


@pytest.fixture(scope="module")
def full(pure_wheel, pip, tmp_path_factory) -> Installed:
    """The package with the extras that the README installs."""
    commands = re.findall(r'^ *\$ pip install .*airflow-vertex-batch\[(.+?)\]"', README, re.MULTILINE)
    assert commands == ["airflow"]
    return install(pip, tmp_path_factory.mktemp("full"), pure_wheel, *commands)


def install(pip: Path, folder: Path, wheel: Path, *extras: str) -> Installed:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=120)
    installed = Installed(folder)
    (installed.home / "plugins").mkdir(parents=True)
    of_folder = [str(pip), f"--python={folder / 'bin' / 'python'}", "--disable-pip-version-check"]
    if FROM_INDEX:
        what = [f"{wheel}[{','.join(extras)}]" if extras else str(wheel)]
    else:
        what = ["--no-index", "--no-deps", str(wheel)]
        where = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
        link(required(PROJECT, frozenset(extras)), Path(installed.output("python", "-c", where).strip()))
    subprocess.run([*of_folder, "install", "--quiet", *what], check=True, timeout=1200)
    checked = subprocess.run([*of_folder, "check"], capture_output=True, text=True, check=False, timeout=120)
    assert checked.returncode == 0, checked.stdout
    return installed


def required(project: str, extras: frozenset[str]) -> dict[str, metadata.Distribution]:
    """The installed distributions that a project requires, directly and through others."""
    found: dict[str, metadata.Distribution] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    pending = [(project, extras)]
    while pending:
        name, wanted = pending.pop()
        if (name, wanted) in seen:
            continue
        seen.add((name, wanted))
        distribution = metadata.distribution(name)
        found[name] = distribution
        for requirement in map(Requirement, distribution.requires or []):
            environments = [{"extra": extra} for extra in ("", *wanted)]
            if requirement.marker is None or any(map(requirement.marker.evaluate, environments)):
                pending.append((canonicalize_name(requirement.name), frozenset(requirement.extras)))
    del found[project]
    return found


def link(distributions: dict[str, metadata.Distribution], site: Path) -> None:
    """Make distributions of this environment importable in another one: folders of one owner as they are."""
    owners: dict[tuple[str, ...], set[str]] = defaultdict(set)
    files = {name: list(files_of(distribution)) for name, distribution in distributions.items()}
    for name, parts in ((name, parts) for name, several in files.items() for parts in several):
        for depth in range(1, len(parts) + 1):
            owners[parts[:depth]].add(name)
    linked = set()
    for parts in chain.from_iterable(files.values()):
        depths = (depth for depth in range(1, len(parts)) if len(owners[parts[:depth]]) == 1)
        linked.add(parts[: next(depths, len(parts))])
    for part in linked:
        (site.joinpath(*part)).parent.mkdir(parents=True, exist_ok=True)
        (site.joinpath(*part)).symlink_to(SITE_PACKAGES.joinpath(*part))


def files_of(distribution: metadata.Distribution) -> Iterator[tuple[str, ...]]:
    for file in distribution.files or []:
        if file.parts[0] not in ("..", "/") and "__pycache__" not in file.parts:
            yield file.parts


class TestSourceDistribution:
    @pytest.mark.parametrize(
        "name",
        [
            "CHANGELOG.md",
            "dags/vertex_batch_specs.py",
            "docs/settings.md",
            "include/jobs/nightly_summaries.yaml",
            "plugins/vertex_batch/usage/_plain_rows.c",
            "requirements.txt",
            "setup.py",
            "tests/conftest.py",
            "tests/vertex_batch/test_provider_info.py",
        ],
    )
    def test_it_has_what_is_read_built_and_tested(self, unpacked, name):
        assert (unpacked / name).is_file()

    def test_it_has_nothing_that_is_made(self, unpacked):
        made = {".so", ".pyc", ".db"}
        assert [path for path in unpacked.rglob("*") if path.suffix in made or path.name == ".env"] == []


class TestWheels:
    def test_without_a_compiler_the_wheel_is_for_every_platform(self, pure_wheel):
        assert pure_wheel.name == f"airflow_vertex_batch-{__version__}-py3-none-any.whl"
        assert libraries(pure_wheel) == []

    def test_with_a_compiler_the_tag_says_what_the_library_is_for(self, compiled_wheel):
        assert compiled_wheel.name.startswith(f"airflow_vertex_batch-{__version__}-cp311-abi3-")
        assert libraries(compiled_wheel) == [f"{LIBRARY}.abi3.so"]

    def test_the_compiled_wheel_reads_rows_with_the_library(self, compiled_wheel, core, tmp_path):
        with zipfile.ZipFile(compiled_wheel) as archive:
            archive.extractall(tmp_path)
        program = "from vertex_batch.usage.plain import IS_COMPILED; print(IS_COMPILED)"
        assert core.run("python", "-c", program, PYTHONPATH=str(tmp_path)).stdout == "True\n"

    def test_every_file_of_the_package_is_in_it(self, pure_wheel):
        package = ROOT / "plugins" / "vertex_batch"
        here = {
            str(path.relative_to(package.parent))
            for path in package.rglob("*")
            if path.is_file() and path.suffix not in (".so", ".c", ".pyc")
        }
        with zipfile.ZipFile(pure_wheel) as archive:
            assert {name for name in archive.namelist() if ".dist-info/" not in name} == here


def libraries(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return [name for name in archive.namelist() if name.endswith(".so")]


class TestWithoutAirflow:
    def test_neither_airflow_nor_a_cloud_library_is_installed(self, core):
        program = "from importlib.metadata import distributions as d; print(*(one.name for one in d()))"
        assert AIRFLOW.isdisjoint(map(canonicalize_name, core.output("python", "-c", program).split()))

    def test_it_says_its_version(self, core):
        assert core.output("vertex-batch", "--version").startswith(f"vertex-batch {__version__} ")

    @pytest.mark.parametrize(
        ("arguments", "printed"),
        [
            (("validate", str(SPEC)), "1 spec valid"),
            (("plan", "--offline", str(SPEC)), "nightly_summaries"),
            (("schema",), '"$schema"'),
            (
                (
                    "bill",
                    str(ROOT / "tests" / "data" / "golden" / "anthropic_results.jsonl"),
                    "--model=claude-sonnet-4-5",
                    "--location=global",
                ),
                "0.00465",
            ),
        ],
        ids=["validate", "plan", "schema", "bill"],
    )
    def test_what_needs_no_airflow_works(self, core, arguments, printed):
        assert printed in core.output("vertex-batch", *arguments)

    @pytest.mark.parametrize(
        ("arguments", "extra"),
        [
            (("bill", "gs://bucket/out/", "--model=gemini-2.5-flash", "--location=global"), "gcs"),
            (("cost",), "airflow"),
            (("jobs", "list"), "airflow"),
            (("run", str(SPEC)), "airflow"),
        ],
        ids=["bill", "cost", "jobs", "run"],
    )
    def test_a_command_that_needs_more_names_the_extra(self, core, arguments, extra):
        done = core.run("vertex-batch", *arguments)
        assert done.returncode == 1
        assert f"pip install 'airflow-vertex-batch[{extra}]'" in done.stderr
        assert "Traceback" not in done.stderr
        assert "retry" not in done.stderr


class TestInAirflow:
    def test_the_first_job_of_the_readme_can_be_submitted_and_delivered(self, full):
        (spec,) = re.findall(
            r"^```yaml\n(# include/jobs/\w+\.yaml\n.*?)^```$", README, re.DOTALL | re.MULTILINE
        )
        (full.home / "first.yaml").write_text(spec)
        program = """
from pathlib import Path
import duckdb, gcsfs, jsonschema_rs, pyarrow.parquet
from vertex_batch.dag_factory import build_dag
from vertex_batch.results import check_packages
from vertex_batch.specs import load_spec
check_packages()
print(sorted(build_dag(load_spec(Path("first.yaml"))).task_dict))
"""
        printed = full.output("python", "-c", program)
        assert "'deliver'" in printed
        assert "'submit'" in printed

    def test_the_pages_and_the_timetables_are_registered_once(self, full):
        plugins = full.airflow("plugins")
        names = Counter(each["name"] for each in plugins)
        assert (names["vertex_batch"], names["vertex_batch_timetables"]) == (1, 1)
        (pages,) = (each for each in plugins if each["name"] == "vertex_batch")
        assert str(pages["source"]).startswith(f"{PROJECT}=={__version__}: EntryPoint")

    def test_the_provider_is_listed_once(self, full):
        names = Counter(each["package_name"] for each in full.airflow("providers", "list"))
        assert names[PROJECT] == 1

    def test_airflow_finds_everything_without_an_error(self, full):
        # What /plugins/importErrors answers, the timetables, the connection type, a setting, the pages.
        program = """
import json
from airflow.api_fastapi.core_api.routes.public.plugins import import_errors
from airflow.plugins_manager import get_timetables_plugins
from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime
from airflow.sdk import conf
from fastapi.testclient import TestClient
from vertex_batch.ui import Pages
found = {
    "errors": [each.error for each in import_errors().import_errors],
    "timetables": sum(name.startswith("vertex_batch.") for name in get_timetables_plugins()),
    "hook": ProvidersManagerTaskRuntime().hooks["litellm"].hook_class_name,
    "look_seconds": conf.getfloat("vertex_batch", "look_seconds"),
    "pages without a login": TestClient(Pages()).get("/").status_code,
}
print("\\n" + json.dumps(found))
"""
        assert json.loads(full.output("python", "-c", program).splitlines()[-1]) == {
            "errors": [],
            "timetables": 3,
            "hook": "vertex_batch.hooks.litellm.LiteLLMHook",
            "look_seconds": 180.0,
            "pages without a login": 401,
        }
