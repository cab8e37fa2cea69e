"""What the first click would else wait for: libraries that take seconds to load, and the first use of them."""

import threading
from importlib import import_module


class Warming:
    """Loads every page in the background, once; what runs a page waits until that is done.

    It waits, since two threads that load the same modules at once can see them half made.
    """

    def __init__(self) -> None:
        self._thread = threading.Thread(target=_load, name="warming", daemon=True)

    def begin(self) -> None:
        """Begin to load."""
        self._thread.start()

    def finish(self) -> None:
        """Wait until all is loaded, if it was begun."""
        if self._thread.ident is not None:
            self._thread.join()


def _load() -> None:
    import_module("dashboards.navigation")
    import_module("dashboards.components.charts").warm()


WARMING = Warming()
"""That of this process."""
