"""Kills the real processes at chosen instants, and counts what that did: duplicates, orphans, lost.

``make chaos`` runs each kill point again and again against the whole stack and prints the table. The emulator
holds a call, so that the instant is exact; nothing in the package knows of it.
"""

from .arena import Arena, Outcome, kill, kill_each_task_once, talking_to_proxy
from .cluster import CLUSTER_POINTS
from .points import KILL_POINTS, KillPoint

__all__ = [
    "CLUSTER_POINTS",
    "KILL_POINTS",
    "Arena",
    "KillPoint",
    "Outcome",
    "kill",
    "kill_each_task_once",
    "talking_to_proxy",
]
