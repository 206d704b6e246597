"""Where a task's jobs are: project and location, from the task or from its connection."""

from __future__ import annotations

from vertex_batch.errors import ConfigurationError
from vertex_batch.hooks.litellm import LiteLLMHook
from vertex_batch.vertex.place import Place, missing_of


def find_place(hook: LiteLLMHook, project: str | None, location: str | None, consequence: str) -> Place:
    """Return the task's project and location, completed with the connection's defaults.

    :param consequence: what did not happen, such as "Nothing was submitted".
    :raises ConfigurationError: one of them is not set anywhere.
    """
    project, location = project or hook.default_project, location or hook.default_location
    if project and location:
        return Place(project, location)
    raise ConfigurationError(
        f"The task has no {missing_of(project, location)}. {consequence}",
        f"set it in the spec, on the operator, or as an extra of the connection {hook.litellm_conn_id!r}",
    )
