"""What subscriptions are held to, and whose they are."""

from monitor.config.section import Section
from monitor.config.values import Interval, Share


class Objective(Section):
    """The maximum age of the oldest waiting message, and the share of time that this must hold. Patterns allowed."""

    subscription: str
    max_age: Interval
    target: Share = 0.99


class Owner(Section):
    """The team that owns what matches. The first match counts."""

    match: str
    team: str
