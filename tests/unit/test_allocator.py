"""What the C library keeps of freed columns, seen in a process of its own."""

import subprocess
import sys

_HOLES = """
import numpy as np
from monitor.allocator import return_freed_memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 // 2**20

{call}
np.ones(2**20)  # freed at once: from now on glibc would take arrays of this size from its heap
before = resident()
columns = [np.ones(2**17) for _ in range(64)]  # a megabyte each
kept = columns[1::2]
del columns
print(resident() - before)
"""


def kept_megabytes(call: str) -> int:
    done = subprocess.run([sys.executable, "-c", _HOLES.format(call=call)], check=True, capture_output=True, text=True)
    return int(done.stdout)


def test_freed_columns_go_back_to_the_system_though_others_are_kept_beside_them() -> None:
    kept = 32
    assert kept_megabytes("") > kept + 16, "glibc by itself keeps the holes"
    assert kept_megabytes("return_freed_memory()") < kept + 8
