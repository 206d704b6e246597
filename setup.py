"""What pyproject.toml cannot say about the build: a wheel's tag says whether it holds compiled code."""

from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel


class TruthfulWheel(bdist_wheel):
    """A wheel for one platform if the optional extension was compiled, else one for every platform."""

    def run(self) -> None:
        self.run_command("build_ext")
        built = self.get_finalized_command("build_ext").get_outputs()
        if not any(Path(library).is_file() for library in built):
            self.distribution.ext_modules = []
            self.root_is_pure = True
            self.py_limited_api = False
        super().run()


setup(cmdclass={"bdist_wheel": TruthfulWheel})
