"""What a scenario is: steps in five phases, each with what must be seen after it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from examples.event_flow.flow import BUSES
from examples.event_flow.scenarios.ground import Ground


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is done or must come about.

    `run` returns what it saw, in a few words. Raises NotSeen where that is not what must be seen.
    """

    text: str
    run: Callable[[Ground], str]


@dataclass(frozen=True, slots=True)
class Scenario:
    """Something that goes wrong, what the monitor must show of it, how it is mended, and what is true in the end."""

    name: str
    summary: str
    disturb: tuple[Step, ...]
    expect: tuple[Step, ...]
    mend: tuple[Step, ...] = ()
    redrive: tuple[Step, ...] = ()
    prove: tuple[Step, ...] = ()
    buses: tuple[str, ...] = BUSES

    def steps(self) -> Iterator[tuple[str, Step]]:
        """Yield all steps in their order, each with the name of its phase."""
        for phase in ("disturb", "expect", "mend", "redrive", "prove"):
            for step in getattr(self, phase):
                yield phase, step
