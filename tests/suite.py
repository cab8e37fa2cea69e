"""The whole suite, and one more try, alone, for the few tests on real parts that failed among the others.

A test that a real broker or browser failed on a busy machine says little about the product; one that fails alone does.
Tests without real parts get no second try, nor do many failures at once. What passes the second time is named at the
end: it is unsteady, and has to be mended.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
ON_REAL_PARTS = ("tests/integration/", "tests/dashboards/", "tests/stack/", "tests/storage/", "tests/alerts/")
MOST_TRIED_AGAIN = 4

_FAILED = 1  # pytest's exit code for "some tests failed"; any other means that it could not run them


def worth_another_try(failed: Sequence[str]) -> bool:
    """Tell whether these tests, by their node ids, may be run again alone."""
    return 0 < len(failed) <= MOST_TRIED_AGAIN and all(it.startswith(ON_REAL_PARTS) for it in failed)


def main(arguments: Sequence[str]) -> int:
    """Run pytest with these arguments, and what is worth it again; return the exit code."""
    remembered = ROOT / ".pytest_cache" / "v" / "cache" / "lastfailed"
    remembered.unlink(missing_ok=True)
    code = _run(arguments)
    failed = list(json.loads(remembered.read_text())) if code == _FAILED and remembered.exists() else []
    if not worth_another_try(failed):
        return code
    print(f"\n{len(failed)} failed among the others; once more, alone:", *failed, sep="\n  ", flush=True)
    if code := _run(failed):
        return code
    print("\nUnsteady, to be mended (each passed alone):", *failed, sep="\n  ", flush=True)
    return 0


def _run(arguments: Sequence[str]) -> int:
    return subprocess.run([sys.executable, "-m", "pytest", *arguments], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
