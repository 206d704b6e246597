"""What pyproject.toml cannot say about the build: a wheel's tag, and links that also work on an index."""

import os
import re
from pathlib import Path
from urllib.parse import urljoin

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel

ROOT = Path(__file__).parent
# Where the repository can be read, such as https://github.com/OWNER/NAME; only a release has to know it.
PROJECT_URL = os.environ.get("PROJECT_URL", "").rstrip("/")


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


def readme() -> str:
    """The README, whose relative links and images lead to the repository at this version's tag."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    if not PROJECT_URL:
        return text
    package = (ROOT / "plugins" / "vertex_batch" / "__init__.py").read_text(encoding="utf-8")
    tag = "v" + re.findall(r'__version__ = "(.+)"', package)[0]
    images, pages = (f"{PROJECT_URL}/{kind}/{tag}/" for kind in ("raw", "blob"))
    relative = r"(?!https?://|#)([^)\s]+)"
    text = re.sub(rf"(!\[[^\]]*\]\(){relative}", lambda found: found[1] + urljoin(images, found[2]), text)
    return re.sub(rf"(\]\(){relative}", lambda found: found[1] + urljoin(pages, found[2]), text)


setup(
    cmdclass={"bdist_wheel": TruthfulWheel},
    long_description=readme(),
    long_description_content_type="text/markdown",
    project_urls={"Source": PROJECT_URL, "Changelog": f"{PROJECT_URL}/blob/main/CHANGELOG.md"}
    if PROJECT_URL
    else {},
)
