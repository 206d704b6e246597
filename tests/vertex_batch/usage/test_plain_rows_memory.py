"""What is compiled reads no byte beyond its block, whatever stands there: built anew, with sanitizers."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from shutil import which

import pytest

import vertex_batch.usage

SOURCE = Path(vertex_batch.usage.__file__).parent / "_plain_rows.c"
INCLUDE = Path(sysconfig.get_paths()["include"])
CAN_BUILD = sys.platform == "linux" and which("gcc") and (INCLUDE / "Python.h").exists()
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1"]


@pytest.mark.skipif(not CAN_BUILD and not os.environ.get("CI"), reason="there is no C compiler")
@pytest.mark.parametrize("simd", [[], ["-DNO_SIMD"]], ids=["with SIMD", "byte by byte"])
def test_hostile_rows_make_it_read_nothing_else(tmp_path, simd):
    library = subprocess.run(
        ["gcc", "-print-file-name=libasan.so"], capture_output=True, check=True, text=True
    ).stdout.strip()
    strict = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-DPy_LIMITED_API=0x030B0000"]
    module = tmp_path / "_plain_rows.so"
    build = [
        "gcc",
        "-shared",
        "-fPIC",
        *SANITIZERS,
        *strict,
        *simd,
        f"-I{INCLUDE}",
        str(SOURCE),
        "-o",
        str(module),
    ]
    subprocess.run(build, check=True)
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("hostile_rows.py")), str(tmp_path), "50000"],
        env={"LD_PRELOAD": library, "PYTHONMALLOC": "malloc", "ASAN_OPTIONS": "detect_leaks=0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout) > 50_000
