"""What is muted, as tables beside those of the snapshot: a series is there only while the mute holds."""

from collections.abc import Callable, Mapping

from monitor.model import ClusterView, Mute, Table

FindMute = Callable[[str], Mute | None]


def muted_tables(view: ClusterView, find: FindMute) -> Mapping[str, Table]:
    """Return the tables of what `find` says is muted in a cluster; none where nothing is."""
    if view.snapshot is None:
        return {}
    subscriptions = [
        (it.system, it.destination, it.subscriber) for it in view.snapshot.subscriptions if find(it.id) is not None
    ]
    queues = [(it.system, it.queue) for it in view.snapshot.dead_letters if find(it.id) is not None]
    names = ("system", "destination", "subscriber")
    # What has equal labels has one series.
    subscriptions, queues = list(dict.fromkeys(subscriptions)), list(dict.fromkeys(queues))
    tables = {
        "muted_subscriptions": Table.of_rows(names, subscriptions, {"subscription_muted": [1.0] * len(subscriptions)}),
        "muted_dead_letters": Table.of_rows(("system", "queue"), queues, {"dead_letter_muted": [1.0] * len(queues)}),
    }
    return {name: table for name, table in tables.items() if len(table)}
