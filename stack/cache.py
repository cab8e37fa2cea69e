"""What is downloaded once a user and shared by every stack: jars, an environment, a root folder."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_directory() -> Path:
    """The user's cache folder for the stack; EVENTFLOW_CACHE_DIR names another one."""
    named = os.environ.get("EVENTFLOW_CACHE_DIR")
    if named:
        return Path(named).resolve()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).resolve() / "eventflow-monitor"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock between processes and threads; it goes with its holder, however that ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def build_once(name: str, build: Callable[[Path], None]) -> Path:
    """Give the cached folder of this name; when it is not there, let `build` fill one.

    The name carries what the content depends on (a digest of the lock file, a version), so a folder never changes once
    it is there. `build` fills a folder beside it that takes the name only when it is complete: a start that was broken
    off leaves nothing that a later one would trust.
    """
    cache = cache_directory()
    target = cache / name
    if target.exists():
        return target
    with locked(cache / f"{name}.lock"):
        if target.exists():
            return target
        scratch = Path(tempfile.mkdtemp(prefix=f"{name}.", suffix=".partial", dir=cache))
        try:
            build(scratch)
            scratch.chmod(0o755)
            scratch.rename(target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return target
