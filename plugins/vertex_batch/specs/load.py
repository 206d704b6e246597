"""Spec files -> job specs."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vertex_batch.errors import ConfigurationError
from vertex_batch.specs.defaults import Defaults, shown_once
from vertex_batch.specs.document import Document
from vertex_batch.specs.events import Events
from vertex_batch.specs.model import Spec
from vertex_batch.specs.parse import parse_spec
from vertex_batch.specs.problems import BrokenSpecsError, Problem, SpecError, did_you_mean

MAX_FILE_BYTES = 256 * 1024
FOLDER_VARIABLE = "VERTEX_BATCH_SPECS_FOLDER"
EXAMPLES_FOLDER = "examples"
"""Skipped, so that a checkout's examples do not become DAGs. It can be named as the folder itself."""
_ENDINGS = (".yaml", ".yml")


@dataclass(slots=True)
class SpecSet:
    """The contents of a folder: the valid specs by name, and an error for each broken file."""

    specs: dict[str, Spec] = field(default_factory=dict)
    errors: list[SpecError] = field(default_factory=list)

    def raise_for_errors(self) -> None:
        """Raise one error that shows all broken files.

        :raises BrokenSpecsError: at least one file is broken.
        """
        if self.errors:
            raise BrokenSpecsError(self.errors)


def load_spec(path: str | Path) -> Spec:
    """Read and check one spec file.

    :raises SpecError: with every problem of the file.
    """
    path = Path(path)
    return _load(path, Defaults(root_of(path), read_text))[0]


def spec_file(text: str) -> str:
    """Return the file of a spec that is given as a path, or by the name of a file in the specs folder.

    A file that does not exist stays as it is, so that the error names it.

    :raises ConfigurationError: it is the name of no spec.
    """
    if Path(text).exists() or Path(text).name != text or Path(text).suffix in _ENDINGS:
        return text
    folders = [folder for folder in (specs_folder(), working_folder()) if folder.is_dir()]
    known = {path.stem: path for folder in folders for path in sorted(spec_files(folder))}
    if text in known:
        return str(known[text])
    there_are = f"there are: {', '.join(sorted(known))}" if known else f"{working_folder()} has none"
    raise ConfigurationError(f"There is no spec `{text}`; {there_are}{did_you_mean(text, known)}")


def check_text(text: str, path: str | Path) -> Spec:
    """Check the text of a spec as if it were in a file.

    :raises SpecError: with every problem of the text.
    """
    path = Path(path)
    return parse_spec(text, path, Defaults(root_of(path), read_text))[0]


def load_specs(folder: str | Path | None = None, *, only: str | None = None) -> SpecSet:
    """Read every spec file of a folder and of the folders within it.

    Names that begin with ``.`` or ``_`` are skipped. If two files have the same name, both are errors,
    because it is unclear which was meant.

    :param folder: defaults to `specs_folder`.
    :param only: return only the spec of this name, and try the file of that name first. For a process that
        needs one DAG.
    """
    folder = Path(folder) if folder is not None else specs_folder()
    if not folder.is_dir():
        message = (
            f"the folder does not exist: create it, or set {FOLDER_VARIABLE} to the folder with the job specs"
        )
        return SpecSet(errors=[SpecError(folder, [Problem(1, 1, "", message)])])
    paths = sorted(spec_files(folder), key=lambda path: (path.stem != only, path))
    return load_files(paths, only=only, root=folder)


def load_files(paths: Iterable[Path], *, only: str | None = None, root: Path | None = None) -> SpecSet:
    """Read the given spec files like `load_specs` reads those of a folder.

    :param root: the topmost folder to search for defaults. By default, the specs folder for files in it, else
        the file's own folder.
    """
    result = SpecSet()
    loaded: dict[str, list[tuple[Spec, Document]]] = defaultdict(list)
    defaults: dict[Path, Defaults] = {}
    for path in paths:
        top = root or root_of(path)
        shared = defaults.setdefault(top, Defaults(top, read_text))
        try:
            spec, document = _load(path, shared)
        except SpecError as error:
            result.errors.append(error)
            continue
        if only == spec.name:
            return SpecSet({spec.name: spec})
        loaded[spec.name].append((spec, document))
    broken = {Path(error.file).stem for error in result.errors}
    outputs = {each for found in loaded.values() for each in found[0][0].outputs} if root else None
    for name, found in loaded.items():
        if len(found) > 1:
            result.errors.extend(_same_name(found))
        elif only is None and (missing := _missing_outputs(*found[0], outputs, broken)):
            result.errors.append(SpecError(str(found[0][0].file), missing))
        elif only is None:
            result.specs[name] = found[0][0]
    result.errors = list(shown_once(result.errors))
    result.errors.sort(key=lambda error: error.file)
    return result


def spec_files(folder: Path) -> Iterator[Path]:
    """Find the spec files of a folder and of the folders in it."""
    for path in folder.rglob("*"):
        inside = path.relative_to(folder).parts
        if inside[0] == EXAMPLES_FOLDER:
            continue
        if path.suffix in _ENDINGS and not any(part.startswith((".", "_")) for part in inside):
            yield path


def specs_folder(dags_folder: str | Path | None = None) -> Path:
    """Return the specs folder: ``$VERTEX_BATCH_SPECS_FOLDER``, else ``include/jobs`` next to the DAGs folder.

    :param dags_folder: the folder of the calling DAG file, which may be in a DAG bundle. Defaults to
        Airflow's DAGs folder in the environment.
    """
    if configured := os.environ.get(FOLDER_VARIABLE):
        return Path(configured)
    dags_folder = dags_folder or os.environ.get("AIRFLOW__CORE__DAGS_FOLDER")
    root = Path(dags_folder).parent if dags_folder else Path(os.environ.get("AIRFLOW_HOME", "."))
    return root / "include" / "jobs"


def working_folder() -> Path:
    """Return the specs folder of a person at a checkout: the configured one, else ``include/jobs``."""
    return Path(os.environ.get(FOLDER_VARIABLE) or "include/jobs")


def prices_folder(specs: Path) -> Path:
    """Return the folder of the price files for all specs: ``pricing`` next to the specs folder."""
    return specs.parent / "pricing"


def _load(path: Path, defaults: Defaults) -> tuple[Spec, Document]:
    return parse_spec(read_text(path), path, defaults)


def root_of(path: Path) -> Path:
    """Return the topmost folder for defaults: the specs folder, or a file's own folder if it is elsewhere."""
    folder = specs_folder()
    if folder in path.parents:
        return folder
    whole, inside = folder.resolve(), path.resolve()
    return path.parents[len(inside.relative_to(whole).parts) - 1] if whole in inside.parents else path.parent


def read_text(path: Path, advice: str = ": a spec describes a job; put the rows in the input file") -> str:
    """Read a file.

    :param advice: what to do about a file that is too large.
    :raises SpecError: it cannot be read, is too large, or is not UTF-8.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        message = f"cannot be read: {error.strerror or error}"
        raise SpecError(path, [Problem(1, 1, "", message)]) from None
    if len(content) > MAX_FILE_BYTES:
        message = f"is larger than {MAX_FILE_BYTES // 1024} kB{advice}"
        raise SpecError(path, [Problem(1, 1, "", message)])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
        message = f"is not UTF-8 (byte 0x{content[error.start]:02x}): save the file in that encoding"
        raise SpecError(path, [Problem(line, column, "", message)]) from None


def _missing_outputs(
    spec: Spec, document: Document, outputs: set[str] | None, broken: set[str]
) -> list[Problem]:
    """Check that the outputs that a spec waits for exist. With only part of the specs, this is unknown."""
    if outputs is None or not isinstance(spec.schedule, Events):
        return []
    problems = []
    for number, name in enumerate(spec.schedule.assets):
        if "://" not in name and name not in outputs and name.partition("/")[0] not in broken:
            _, place = document.locate(("schedule", "assets", number))
            message = f"no spec has `asset: true` for the output `{name}`{did_you_mean(name, outputs)}"
            problems.append(Problem(place.line, place.column, f"schedule.assets[{number}]", message))
    return problems


def _same_name(found: list[tuple[Spec, Document]]) -> Iterator[SpecError]:
    for spec, document in found:
        others = ", ".join(str(other.file) for other, _ in found if other is not spec)
        _, place = document.locate(("name",))
        message = f"`{spec.name}` is also the name of {others}: neither becomes a DAG; rename one of them"
        yield SpecError(str(spec.file), [Problem(place.line, place.column, "name", message)])


def job_places(folder: Path, connection: str) -> set[tuple[str | None, str | None]]:
    """Collect the projects and locations that specs name. None means the connection's own.

    Broken specs are skipped, because they run no jobs.

    :param folder: the folder with the specs.
    :param connection: only include specs that use this proxy.
    """
    specs = load_specs(folder).specs.values()
    return {
        (job.project, job.location) for spec in specs for job in spec.jobs if job.connection == connection
    }
