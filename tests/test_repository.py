"""The repository as a whole is consistent."""

import importlib.metadata
import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import pytest

import vertex_batch

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ["requirements.txt", "requirements-dev.txt", "local/proxy/requirements.txt", "local/uv.txt"]


@cache
def files() -> list[Path]:
    """All files that are, or would be, under version control."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_nothing_that_is_made_at_run_time_is_under_version_control():
    made = re.compile(r"(^|/)(\.env|__pycache__|.*\.(pyc|db|log|sqlite3?)|.*\.egg-info)(/|$)")
    assert [str(path) for path in files() if made.search(str(path.relative_to(ROOT)))] == []


@pytest.mark.parametrize("name", LOCKS)
def test_every_entry_of_a_lock_is_pinned_and_has_hashes(name):
    entries = [
        line for line in (ROOT / name).read_text().splitlines() if line and not line.lstrip().startswith("#")
    ]
    heads = [number for number, line in enumerate(entries) if not line.startswith(" ")]
    assert heads
    for head in heads:
        assert re.match(r"[\w.\[\],-]+==[\w.+!]+( ;.*)? \\$", entries[head]), entries[head]
        assert re.match(r"    --hash=sha256:[0-9a-f]{64}( \\)?$", entries[head + 1]), entries[head]


def test_the_changelog_and_the_installed_package_have_the_version_of_the_code():
    version = vertex_batch.__version__
    assert importlib.metadata.version("airflow-vertex-batch") == version
    released = re.findall(r"^## \[(\d[^\]]*)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert released[0] == version


def test_the_licence_is_the_whole_apache_licence():
    text = (ROOT / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in text
    assert "9. Accepting Warranty or Additional Liability." in text
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"] == "Apache-2.0"


def anchors(document: Path) -> set[str]:
    """The anchors of a Markdown file's headings, as code hosts make them."""
    headings = re.findall(
        r"^#+ (.+)$", re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL), re.MULTILINE
    )
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower() for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


def test_the_paths_that_the_contributors_guide_names_exist():
    text = re.sub(r"```.*?```", "", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.DOTALL)
    named = re.findall(r"`([\w.-]+/[\w./-]*|[\w-]+\.(?:py|md|toml|yaml))`", text)
    places = (ROOT, ROOT / "plugins" / "vertex_batch", ROOT / "tests" / "vertex_batch" / "usage")
    assert len(named) > 30
    assert [name for name in named if not any((place / name).exists() for place in places)] == []


def test_the_contributors_guide_names_all_rooms_in_the_order_of_their_layers():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = [layer.split(" | ") for layer in settings["contracts"][0]["layers"]]
    table = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert [re.findall(r"\w+", rooms) for rooms in table] == layers


@pytest.mark.parametrize(
    "document", [path for path in files() if path.suffix == ".md"], ids=lambda path: path.name
)
def test_links_between_documents_lead_somewhere(document):
    text = re.sub(r"```.*?```|`[^`\n]*`", "", document.read_text(), flags=re.DOTALL)
    # The code host's pages of a workflow, relative to the page of the README.
    text = re.sub(r"\.\./\.\./actions/workflows/([\w.]+)(/badge\.svg)?", r".github/workflows/\1", text)
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)(?: \"[^\"]*\")?\)", text):
        if re.match(r"[a-z][a-z+.-]*:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (document.parent / path).resolve() if path else document
        if not linked.exists() or (anchor and linked.suffix == ".md" and anchor not in anchors(linked)):
            broken.append(target)
    assert broken == []
