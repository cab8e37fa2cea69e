import numpy as np

from monitor.brokers.kafka.memory import Memory


def test_columns_follow_their_ids_and_new_rows_start_fresh() -> None:
    memory = Memory(total=0.0, last=np.nan)
    memory.align(np.array([2, 5, 9]))
    memory["total"] = np.array([20.0, 50.0, 90.0])
    memory.align(np.array([1, 5, 9, 12]))
    assert memory["total"].tolist() == [0, 50, 90, 0]
    assert np.isnan(memory["last"]).all()


def test_what_went_is_forgotten_also_when_it_comes_back() -> None:
    memory = Memory(total=0.0)
    memory.align(np.array([3]))
    memory["total"] = np.array([7.0])
    memory.align(np.array([], dtype=np.int64))
    memory.align(np.array([3]))
    assert memory["total"].tolist() == [0]


def test_reset_rows_are_as_good_as_new() -> None:
    memory = Memory(total=1.0)
    memory.align(np.array([1, 2]))
    memory["total"] = np.array([5.0, 6.0])
    memory.reset(np.array([1]))
    assert memory["total"].tolist() == [5, 1]
