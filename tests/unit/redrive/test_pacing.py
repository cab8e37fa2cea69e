"""The rate of a job, by a clock of its own."""

import pytest

from monitor.redrive.pacing import Pace


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


def run(pace: Pace, time: Time, seconds: float, a_step: float = 0.02) -> int:
    sent = 0
    end = time.now + seconds
    while time.now < end:
        granted = pace.grant(5_000)
        pace.spend(granted)
        sent += granted
        time.now += a_step if granted else max(0.001, pace.wait_seconds())
    return sent


@pytest.mark.parametrize("rate", [0.5, 3, 50, 400, 10_000, 200_000])
def test_the_rate_holds_within_five_percent(rate: float) -> None:
    time = Time()
    pace = Pace(rate, time.monotonic)
    seconds = max(20.0, 40 / rate)
    assert run(pace, time, seconds) == pytest.approx(rate * seconds, rel=0.05)


def test_nothing_goes_out_at_once_at_the_start() -> None:
    time = Time()
    assert Pace(1_000, time.monotonic).grant(5_000) == 0


def test_a_long_stall_is_not_made_up_for() -> None:
    time = Time()
    pace = Pace(100, time.monotonic)
    run(pace, time, 5)
    time.now += 60
    assert run(pace, time, 1) < 170


def test_the_rate_can_be_changed_while_it_runs() -> None:
    time = Time()
    pace = Pace(100, time.monotonic)
    run(pace, time, 5)
    pace.rate = 1_000
    assert run(pace, time, 10) == pytest.approx(10_000, rel=0.05)
    pace.rate = None
    assert pace.grant(5_000) == 5_000
