"""What the C library does with memory that Python and numpy give back.

glibc gives each thread heaps of its own and, once a large array was freed, takes arrays of that size from those heaps,
where they leave holes (mallopt(3): M_ARENA_MAX, and the dynamic threshold under M_MMAP_THRESHOLD). A cycle makes and
drops columns of megabytes in several threads: without this a monitor of 158,000 group-partitions grows by a fifth in
its first minutes.
"""

import ctypes

_ARENA_MAX, _MMAP_THRESHOLD = -8, -3  # malloc.h
_ARENAS = 2
_MAPPED_FROM_BYTES = 128 * 1024  # glibc's own default, which being set keeps from moving


def return_freed_memory() -> None:
    """Have freed columns go back to the system; does nothing where the C library is another one than glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, _ARENAS)
        mallopt(_MMAP_THRESHOLD, _MAPPED_FROM_BYTES)
