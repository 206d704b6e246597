"""Checks the templates in a spec before any run.

A name that exists only in some kinds of run is refused, with the name to use in all of them.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache

from jinja2 import Environment, TemplateSyntaxError, nodes

from vertex_batch.specs.problems import did_you_mean
from vertex_batch.specs.run_dates import TEMPLATE_DATES

_IN_EVERY_RUN = frozenset(
    {"dag", "dag_run", "macros", "params", "run_id", "task", "task_instance", "ti", "var"}
)
NAMES_INSTEAD: dict[str, str] = {
    "ds": "run_date",
    "ds_nodash": "run_date",
    "ts": "run_timestamp",
    "ts_nodash": "run_timestamp",
    "ts_nodash_with_tz": "run_timestamp",
    "logical_date": "run_date",
    "execution_date": "run_date",
    "data_interval_start": "previous_run_date",
    "data_interval_end": "run_date",
    "partition_key": "run_date",
    "partition_date": "run_date",
    "prev_ds": "previous_run_date",
    "yesterday_ds": "previous_run_date",
    "next_ds": "next_run_date",
    "tomorrow_ds": "next_run_date",
}
"""A name that exists only in some kinds of run -> the one that exists in all of them."""
_AIRFLOW_FILTERS = frozenset({"ds", "ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz"})
TEMPLATE_NAMES = _IN_EVERY_RUN | TEMPLATE_DATES.keys() | {"job_name"}
TEMPLATE_PART = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}")
_KNOWN_NAME = re.compile(rf"(?<!\{{)\{{\{{ ?({'|'.join(sorted(TEMPLATE_NAMES))}) ?\}}\}}(?!\}})")


def is_template(text: str) -> bool:
    """Whether parts of the text are only known in a run."""
    return "{{" in text or "{%" in text or "{#" in text


@lru_cache(maxsize=4096)
def template_problem(text: str) -> str | None:
    """Describe the problem of a template; None if it renders in every kind of run."""
    # Nearly all templates are only a known name, for which the parser is not needed.
    if not is_template(_KNOWN_NAME.sub(" ", text)):
        return None
    environment = _environment()
    try:
        tree = environment.parse(text)
        names = list(tree.find_all(nodes.Name))
        filters = [found.name for found in tree.find_all(nodes.Filter)]
    except TemplateSyntaxError as error:
        return f"is not a valid template: {error.message}"
    except RecursionError:
        return "is nested too deeply for a template"
    set_within = {name.name for name in names if name.ctx != "load"}
    problems = [_filter_problem(name, environment) for name in filters]
    problems += [_name_problem(name.name) for name in names if name.name not in set_within]
    return next((problem for problem in problems if problem), None)


def _filter_problem(name: str, environment: Environment) -> str | None:
    known = _AIRFLOW_FILTERS | environment.filters.keys()
    return None if name in known else f"`{name}` is not a valid template filter{did_you_mean(name, known)}"


def _name_problem(name: str) -> str | None:
    if better := NAMES_INSTEAD.get(name):
        return f"`{name}` is undefined in a run without a logical date: use `{better}`"
    if name not in TEMPLATE_NAMES:
        listed = f"; the dates are {', '.join(sorted(TEMPLATE_DATES))}"
        return f"`{name}` is not a valid template name{did_you_mean(name, TEMPLATE_NAMES) or listed}"
    return None


@cache
def _environment() -> Environment:
    # It only parses: nothing here is ever rendered, nor folded into constants.
    return Environment(autoescape=False)  # noqa: S701
