"""The limits of teams: ``include/budgets.yaml``."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field, ValidationError

from vertex_batch.budgets.limits import Budget, BudgetRules, Payer
from vertex_batch.specs.base import SpecModel
from vertex_batch.specs.budget import BudgetFields
from vertex_batch.specs.document import read_document
from vertex_batch.specs.load import read_text
from vertex_batch.specs.messages import problems_of
from vertex_batch.specs.origins import Origin, Values
from vertex_batch.specs.problems import Problem, SpecError
from vertex_batch.specs.values import TeamName

FILE_NAME = "budgets.yaml"
FILE_VARIABLE = "VERTEX_BATCH_BUDGETS_FILE"


class BudgetFile(SpecModel):
    """Limits of all teams together, and of each."""

    everyone: BudgetFields | None = None
    """Limits of all specs together, of any team."""
    teams: dict[TeamName, BudgetFields] = Field(default_factory=dict, max_length=1000)
    """Limits by `team`. A spec without a team has only those of `everyone`."""


@dataclass(frozen=True, slots=True)
class TeamBudgets:
    """The contents of the file."""

    everyone: Budget | None = None
    teams: dict[str, Budget] = field(default_factory=dict)

    def budgets_of(self, team: str) -> list[tuple[Budget, Payer, str]]:
        """The budgets that apply to a job of a team."""
        found = [(self.teams[team], Payer.TEAM, team)] if team in self.teams else []
        return [*found, (self.everyone, Payer.EVERYONE, "")] if self.everyone else found


def budgets_file(specs: Path) -> Path | None:
    """Return the file with the teams' limits: ``$VERTEX_BATCH_BUDGETS_FILE``, else next to the specs folder.

    None if there is no such file; then no team has a limit.
    """
    configured = os.environ.get(FILE_VARIABLE)
    path = Path(configured) if configured else specs.parent / FILE_NAME
    return path if configured or path.is_file() else None


def load_team_budgets(path: Path) -> TeamBudgets:
    """Read and check the file.

    :raises SpecError: with every problem of the file. Until it is fixed, no job is submitted, because its
        limit is unknown.
    """
    document = read_document(read_text(path, advice=""))
    problems = list(document.problems)
    data = {} if document.data is None else document.data
    if document.readable and not isinstance(data, dict):
        problems.append(Problem(1, 1, "", "must contain `everyone` or `teams`, with limits below them"))
    elif document.readable:
        try:
            read = BudgetFile.model_validate(data)
        except ValidationError as error:
            values = Values.of(data, Origin(path, document))
            problems += problems_of(error, values, BudgetFile.model_fields)
        if not problems:
            everyone = read.everyone.to_budget() if read.everyone else None
            return TeamBudgets(everyone, {team: fields.to_budget() for team, fields in read.teams.items()})
    raise SpecError(path, sorted(problems) or [Problem(1, 1, "", "cannot be read")])


def limits_of_job(spec: str, budget: Budget | None, team: str, file: Path | None) -> BudgetRules:
    """All limits that apply to a job of a spec.

    :param budget: of the spec.
    :param file: with the limits of teams; None: they have none.
    :raises SpecError: the file cannot be read. No job is better than one without limits.
    """
    own = [(budget, Payer.SPEC, spec)] if budget else []
    return BudgetRules.of([*own, *(load_team_budgets(file).budgets_of(team) if file else ())])
