"""The numbers of our advisory locks in a PostgreSQL, which may serve others as well."""

import hashlib

JOBS = 0x65766672  # "evfr": a lock for each redrive job
CLUSTERS = 0x65766663  # "evfc": a lock for each cluster
PURGES = 0x65766671  # "evfq": a lock for each queue that is being emptied
PRESENT = 0x65766670  # "evfp": one that every monitor shares, so that the others can count it


def number_of(name: str) -> int:
    """Return the second number of the lock for a name: 32 bits with a sign, as the server wants them."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big", signed=True)
