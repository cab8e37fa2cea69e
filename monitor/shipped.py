"""Files that come with the product and are no code: rules, runbooks, dashboards, the reference configuration."""

from pathlib import Path

from monitor.errors import EventflowError

_PACKAGE = Path(__file__).parent


def find_shipped(name: str) -> Path:
    """Return where a file or folder of the product lies, by its path in the sources, such as `alerts/rules`.

    An installed wheel has them in the package, a checkout beside it. Raises EventflowError when it is in neither.
    """
    places = (_PACKAGE / "files" / name, _PACKAGE.parent / name)
    found = next((place for place in places if place.exists()), None)
    if found is None:
        raise EventflowError(f"{name} did not come with this installation; install eventflow-monitor again")
    return found
