"""Ages of unread records, against a simulated broker whose time index answers as Kafka's does."""

from collections.abc import Callable

import numpy as np
import pytest

from monitor.brokers.kafka.ages import METHODS, AgeBook, RowAges, Sound, oldest
from monitor.brokers.kafka.lag import Lag
from monitor.brokers.kafka.rows import Rows
from monitor.model import AgeMethod, Floats, Ids
from tests.unit.kafka.builders import make_rows

START = 1_700_000_000.0


class Log:
    """One partition's records: the time of each, and what was asked of its index."""

    def __init__(self, stamps: Floats) -> None:
        self.stamps = np.sort(stamps)
        self.now = START
        self.soundings = 0

    @property
    def end(self) -> int:
        return int(np.searchsorted(self.stamps, self.now, side="right"))

    def sound(self, slots: Ids, moments: Floats) -> tuple[Floats, Floats]:
        self.soundings += len(slots)
        found = np.searchsorted(self.stamps[: self.end], np.floor(moments * 1000) / 1000, side="left")
        there = found < self.end
        stamps = self.stamps[np.minimum(found, self.end - 1)]
        return np.where(there, found, np.inf).astype(float), np.where(there, stamps, np.nan)


class Story:
    """A group on that partition, looked at again and again."""

    def __init__(self, stamps: Floats) -> None:
        self.log = Log(stamps)
        self.sound: Sound = self.log.sound
        self.book = AgeBook()
        self.book.move(np.array([-1]))
        self.rows = make_rows([(0, 0)])

    def look(self, now: float, committed: int) -> RowAges:
        self.log.now = now
        messages = np.array([float(self.log.end - committed)])
        lag = Lag(messages, messages, np.array([float(committed)]), np.array([False]), np.array([False]))
        self.book.observe(np.array([float(self.log.end)]), now)
        return self.book.tell(self.rows, lag, now, self.sound)


def refuse(slots: Ids, _moments: Floats) -> tuple[Floats, Floats]:
    return np.full(len(slots), np.nan), np.full(len(slots), np.nan)


def steady(rate: float = 3.0) -> Floats:
    return START - 3600 + np.arange(0, 7200, 1 / rate)


def bursty() -> Floats:
    bursts = START - 7200 + np.arange(0, 14_400, 600.0)
    return np.concatenate([burst + np.linspace(0, 5, 500) for burst in bursts])


def idle() -> Floats:
    return START - 90_000 + np.linspace(0, 300, 1000)


def restarted() -> Floats:
    return np.concatenate([START - 40_000 + np.linspace(0, 600, 600), START - 60 + np.linspace(0, 600, 600)])


@pytest.mark.parametrize("flow", [steady, bursty, idle, restarted])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_stuck_group_is_told_the_true_age_within_few_cycles(flow: Callable[[], Floats], share: float) -> None:
    story = Story(flow())
    story.log.now = START
    committed = int(story.log.end * share)
    for cycle in range(8):
        now = START + 15 * cycle
        ages = story.look(now, committed)
    truth = now - story.log.stamps[committed]
    assert ages.seconds[0] == pytest.approx(truth, rel=0.02, abs=0.2)


def test_a_group_that_keeps_up_is_told_seconds_and_not_a_poll_interval() -> None:
    story = Story(steady(1))
    errors = []
    for cycle in range(20):
        now = START + 15 * cycle
        story.log.now = now
        committed = story.log.end - 1
        ages = story.look(now, committed)
        errors.append(abs(ages.seconds[0] - (now - story.log.stamps[committed])))
    assert max(errors[1:]) < 0.5


def test_the_first_cycle_already_tells_the_order_of_magnitude() -> None:
    story = Story(idle())
    ages = story.look(START, 500)
    assert ages.seconds[0] == pytest.approx(START - story.log.stamps[500], rel=0.3)
    assert ages.seconds[0] <= START - story.log.stamps[0]
    assert METHODS[ages.method[0]] is AgeMethod.INTERPOLATED


def test_a_broker_that_does_not_tell_leaves_a_lower_bound() -> None:
    story = Story(idle())
    story.sound = refuse
    story.look(START, 500)
    ages = story.look(START + 15, 500)
    assert METHODS[ages.method[0]] is AgeMethod.LOWER_BOUND
    assert ages.seconds[0] == 15


def test_what_is_known_of_a_record_is_not_asked_again() -> None:
    story = Story(bursty())
    for cycle in range(10):
        story.look(START + 15 * cycle, 4000)
    before = story.log.soundings
    for cycle in range(10, 30):
        story.look(START + 15 * cycle, 4000)
    assert story.log.soundings == before


def test_soundings_of_a_position_that_cannot_be_dated_end() -> None:
    story = Story(steady(1))
    counted: list[int] = []

    def sound(slots: Ids, moments: Floats) -> tuple[Floats, Floats]:
        counted.append(len(slots))
        return np.zeros(len(slots)), np.full(len(slots), np.nan)

    story.sound = sound
    for cycle in range(40):
        story.look(START + 15 * cycle, 1000)
    assert sum(counted) <= 12


def rows_of_two() -> Rows:
    return make_rows([(0, 0), (0, 1)])


@pytest.mark.parametrize(
    ("seconds", "methods", "expected"),
    [
        ((5, 9), (AgeMethod.EXACT, AgeMethod.INTERPOLATED), (9, AgeMethod.INTERPOLATED)),
        ((9, 5), (AgeMethod.EXACT, AgeMethod.INTERPOLATED), (9, AgeMethod.EXACT)),
        ((9, 5), (AgeMethod.EXACT, AgeMethod.LOWER_BOUND), (9, AgeMethod.LOWER_BOUND)),
        ((0, np.nan), (AgeMethod.EXACT, AgeMethod.UNKNOWN), (0, AgeMethod.EXACT)),
        ((np.nan, np.nan), (AgeMethod.UNKNOWN, AgeMethod.UNKNOWN), (np.nan, AgeMethod.UNKNOWN)),
    ],
)
def test_a_subscription_is_as_old_as_its_oldest_partition(
    seconds: tuple[float, float], methods: tuple[AgeMethod, AgeMethod], expected: tuple[float, AgeMethod]
) -> None:
    codes = np.array([METHODS.index(method) for method in methods], dtype=np.int32)
    age, method = oldest(rows_of_two(), RowAges(np.array(seconds, dtype=np.float64), codes))
    assert age[0] == pytest.approx(expected[0], nan_ok=True)
    assert METHODS[method[0]] is expected[1]
