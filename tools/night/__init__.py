"""A night of real size: the whole project on the real processes, measured and judged against limits.

``make night`` runs it: every row is accounted for, every bill is compared with an independent sum, and each
step is measured: processor time, memory, requests and bytes at the object store.
"""

from tools.night.limits import misses
from tools.night.report import markdown
from tools.night.run import Night
from tools.night.scenarios import SCENARIOS, NightScenario

__all__ = ["SCENARIOS", "Night", "NightScenario", "markdown", "misses"]
