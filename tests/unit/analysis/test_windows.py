from collections.abc import Callable
from dataclasses import fields
from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitor.analysis.windows import Looks, Memory, Window, begin, follow, places, realigned
from monitor.model import as_floats

SPAN = 120.0

numbers = st.one_of(st.none(), st.integers(0, 20).map(float))
part = st.tuples(numbers, numbers, numbers, st.booleans())
"""What waits, what was consumed, what was published, and whether the subscription is known to be consumed from."""
Parts = dict[int, tuple[float | None, float | None, float | None, bool]]
snapshot = st.dictionaries(st.integers(-5, 12), part, max_size=8)
life = st.lists(st.tuples(snapshot, st.floats(1, 100)), min_size=1, max_size=8)


def look(parts: Parts, order: list[int]) -> Looks:
    rows = [parts[identity] for identity in order]
    return Looks(
        ids=np.array(order, np.int64),
        waiting=as_floats(row[0] for row in rows),
        consumed=as_floats(row[1] for row in rows),
        published=as_floats(row[2] for row in rows),
        of_log=np.array([identity % 2 == 0 for identity in order], np.bool_),
        vague=np.array([identity % 2 == 0 for identity in order], np.bool_),
        attended=np.array([identity % 4 == 0 for identity in order], np.bool_),
        consuming=np.array([row[3] for row in rows], np.bool_),
    )


def rows_of(window: Window) -> dict[int, tuple[object, ...]]:
    columns = [getattr(window.memory, it.name).tolist() for it in fields(Memory)]
    return {
        identity: tuple("absent" if value != value else value for value in row)
        for identity, *row in zip(window.looks.ids.tolist(), *columns, strict=True)
    }


def watch(steps: list[tuple[Parts, float]], order: Callable[[list[int]], None]) -> Window:
    window, now = None, 1_000.0
    for parts, pause in steps:
        ids = list(parts)
        order(ids)
        looks = look(parts, ids)
        window = follow(window, looks, now, SPAN) if window else begin(looks, now)
        now += pause
    assert window
    return window


@given(life, st.randoms(use_true_random=False))
def test_parts_that_come_and_go_in_any_order_are_remembered_as_if_each_were_alone(
    steps: list[tuple[Parts, float]], random: Random
) -> None:
    together = rows_of(watch(steps, random.shuffle))
    alone: dict[int, tuple[object, ...]] = {}
    for identity in together:
        only = [({identity: parts[identity]} if identity in parts else {}, pause) for parts, pause in steps]
        alone |= rows_of(watch(only, random.shuffle))
    assert together == alone


@given(st.lists(st.integers(-9, 9), unique=True), st.lists(st.integers(-9, 9), unique=True))
def test_places_say_where_each_id_stood(old: list[int], new: list[int]) -> None:
    found = places(np.array(old, np.int64), np.array(new, np.int64))
    expected = [old.index(identity) if identity in old else -1 for identity in new]
    assert (expected if old != new else None) == (None if found is None else found.tolist())


def test_unchanged_ids_copy_nothing() -> None:
    window = begin(look({1: (1.0, 2.0, 3.0, False)}, [1]), 0.0)
    assert realigned(window.memory, places(window.looks.ids, window.looks.ids.copy())) is window.memory


def test_a_part_takes_33_bytes_beside_the_snapshot() -> None:
    parts: Parts = dict.fromkeys(range(1000), (1.0, 2.0, 3.0, False))
    window = watch([(parts, 10.0)] * 3, lambda ids: None)
    looks, memory = window.looks, window.memory
    kept = [*(getattr(memory, it.name) for it in fields(Memory)), looks.of_log, looks.attended, looks.consuming]
    assert sum(column.nbytes for column in kept) == 33 * len(parts)


def test_moments_stay_exact_when_the_origin_moves() -> None:
    steps: list[tuple[Parts, float]] = [({1: (5.0, 10.0 + i, 20.0 + i, False)}, 86_400.5) for i in range(20)]
    window = watch(steps, lambda ids: None)
    assert window.memory.idle_since.tolist() == [window.now]
    assert window.now < 2**18
