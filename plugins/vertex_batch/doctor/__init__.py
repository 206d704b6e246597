"""Checks of a setup, for ``vertex-batch doctor`` and the page Setup: each with what was found and the fix."""

from vertex_batch.doctor.checks import SetupAccess, check_setup
from vertex_batch.doctor.runner import CheckedSetup, CheckStatus

__all__ = ["CheckStatus", "CheckedSetup", "SetupAccess", "check_setup"]
