"""Whether the monitor is alive, and whether it knows of every cluster how it is."""

from collections.abc import Collection
from typing import Any

from monitor.model import ClusterView, Health


def tell_readiness(views: Collection[ClusterView]) -> tuple[bool, dict[str, Any]]:
    """Say whether every collector has finished a cycle or is known to fail, and which are not ready or fail.

    What another monitor reads is no concern of this one.
    """
    healths = [view.health for view in views if view.health.read_by is None]
    waiting = [health.cluster for health in healths if health.up is None]
    failing = [health for health in healths if health.up is False]
    told = {
        "ready": not waiting,
        "not_ready": waiting,
        "failing": [{"cluster": health.cluster, "message": _why(health)} for health in failing],
        "ok": [health.cluster for health in healths if health.up],
        "elsewhere": [view.health.cluster for view in views if view.health.read_by is not None],
    }
    return not waiting, told


def _why(health: Health) -> str:
    return health.errors[0].message if health.errors else "the last cycle failed"
