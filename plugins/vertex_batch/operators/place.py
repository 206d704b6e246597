"""Where a task's jobs are: project and location, from the task or from its connection."""

from __future__ import annotations

from typing import NamedTuple

from vertex_batch.errors import ConfigurationError
from vertex_batch.hooks.litellm import LiteLLMHook


class Place(NamedTuple):
    """A project id as the proxy has it configured, and a location."""

    project: str
    location: str


def find_place(hook: LiteLLMHook, project: str | None, location: str | None, consequence: str) -> Place:
    """Complete what the task says with the connection's defaults.

    :param consequence: what did not happen, such as "Nothing was submitted".
    :raises ConfigurationError: one of them is set nowhere.
    """
    project, location = project or hook.default_project, location or hook.default_location
    if project and location:
        return Place(project, location)
    missing = " and ".join(
        name for name, value in (("project", project), ("location", location)) if not value
    )
    raise ConfigurationError(
        f"The task does not know its {missing}. {consequence}",
        f"set it in the spec, on the operator, or as an extra of the connection {hook.litellm_conn_id!r}",
    )
