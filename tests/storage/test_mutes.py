"""Mutes on SQLite and PostgreSQL: they survive restarts, match patterns, and end by themselves."""

from dataclasses import dataclass

from monitor.clock import Clock
from monitor.storage.database import Database
from monitor.storage.mutes import Mutes


@dataclass
class Time:
    now: float = 1000.0

    @property
    def clock(self) -> Clock:
        return Clock(now=lambda: self.now)


def test_a_mute_holds_for_what_it_names_until_its_time_is_over(database: Database) -> None:
    time = Time()
    mutes = Mutes(database, time.clock)
    mute = mutes.add("orders/g/t", until=1060.0, reason="upgrade", actor="alice")
    assert mutes.find("orders/g/t") == mute
    assert mutes.find("orders/g/t2") is None
    time.now = 1060.0
    assert mutes.find("orders/g/t") is None
    assert mutes.active() == ()


def test_a_pattern_mutes_all_that_it_matches_and_the_longest_mute_is_told(database: Database) -> None:
    mutes = Mutes(database, Time().clock)
    mutes.add("orders/g/t", until=1100.0, reason="short", actor="alice")
    mutes.add("orders/*", until=5000.0, reason="long", actor="bob")
    told = mutes.find("orders/g/t")
    assert told is not None
    assert (told.reason, told.actor) == ("long", "bob")
    assert mutes.find("mail/q") is None
    assert [mute.reason for mute in mutes.active()] == ["long", "short"]


def test_mutes_survive_a_restart_and_are_seen_by_others_on_the_same_database(database: Database) -> None:
    time = Time()
    first, second = Mutes(database, time.clock), Mutes(database, time.clock)
    kept = first.add("orders/*", until=2000.0, reason="upgrade", actor="alice")
    ended = first.add("mail/*", until=2000.0, reason="mistake", actor="alice")
    first.add("aws/*", until=1001.0, reason="moment", actor="alice")
    assert first.end(ended.id) == ended
    time.now = 1500.0
    second.load()
    assert second.active() == (kept,)


def test_only_a_mute_that_holds_can_be_ended(database: Database) -> None:
    time = Time()
    mutes = Mutes(database, time.clock)
    mute = mutes.add("orders/*", until=2000.0, reason="upgrade", actor="alice")
    assert mutes.end(mute.id + 1) is None
    assert mutes.end(mute.id) == mute
    assert mutes.end(mute.id) is None
    assert mutes.find("orders/g/t") is None
