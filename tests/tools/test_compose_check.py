"""`make compose-check`, as far as it runs without an engine: what it says is missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.docker import compose
from tools.compose_check import base_images, version

REFUSES = "#!/bin/sh\nexit 1\n"
# Answers as a client does whose server is too old.
OLD = "#!/bin/sh\necho 20.10.24\n"
# An engine and a plugin that are new enough, and no image.
NO_IMAGES = '#!/bin/sh\ncase "$*" in version*) echo 28.2.2;; compose*) echo v2.40.0;; *) exit 1;; esac\n'
NO_PLUGIN = '#!/bin/sh\ncase "$*" in version*) echo 28.2.2;; *) exit 1;; esac\n'


@pytest.mark.parametrize(
    ("docker", "missing"),
    [
        ("", "no `docker` command: install Docker Engine"),
        (REFUSES, "the Docker engine is not reachable: 25 or newer has to run"),
        (OLD, "the Docker engine is version 20.10.24, which is too old"),
        (NO_PLUGIN, "the plugin `docker compose` is missing: 2.24 or newer"),
        (NO_IMAGES, "base images that are not here and cannot be pulled: apache/airflow:slim-"),
    ],
)
def test_it_says_what_is_missing(docker, missing, tmp_path):
    if docker:
        (tmp_path / "docker").write_text(docker)
        (tmp_path / "docker").chmod(0o755)
    run = subprocess.run(
        [sys.executable, "-m", "tools.compose_check"],
        cwd=compose.ROOT,
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2, run.stderr
    assert run.stdout.startswith(f"compose-check: cannot run here: {missing}")


@pytest.mark.parametrize(
    ("text", "found"), [("28.2.2", (28, 2)), ("v2.40.3-desktop.1", (2, 40)), ("2.26.1-4", (2, 26)), ("", ())]
)
def test_a_version_is_its_first_two_numbers(text, found):
    assert version(text) == found


def test_the_base_images_are_those_of_the_file_and_of_the_dockerfile_or_what_stands_in_for_them():
    images = base_images({"PYTHON_IMAGE": "registry.example.com/python:3.11"})
    assert "registry.example.com/python:3.11" in images
    assert {image.split(":")[0] for image in images} == {
        "apache/airflow",
        "fsouza/fake-gcs-server",
        "postgres",
        "redis",
        "registry.example.com/python",
    }


def test_it_is_a_target_that_make_lists():
    makefile = (Path(compose.ROOT) / "Makefile").read_text()
    assert "\ncompose-check: setup ## " in makefile
