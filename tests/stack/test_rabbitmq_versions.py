"""Which RabbitMQ is taken, by what is installed and what is wanted. What is installed is made up here."""

import pytest

from stack.errors import StackError
from stack.rabbitmq import versions


@pytest.mark.parametrize(
    ("installed", "wanted", "from_root_folder"),
    [
        (3, None, False),
        (3, 3, False),
        (3, 4, True),
        (4, None, False),
        (4, 4, False),
        (None, None, False),
        (None, 4, True),
    ],
)
def test_version_4_comes_from_a_root_folder_only_where_it_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, installed: int | None, wanted: int | None, from_root_folder: bool
) -> None:
    monkeypatch.setattr(versions, "installed_version", lambda: installed)
    assert versions.needs_root_folder(wanted) is from_root_folder


def test_version_3_is_refused_where_4_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "installed_version", lambda: 4)
    with pytest.raises(StackError, match="RabbitMQ 3 is not to be had here: 4 is installed"):
        versions.needs_root_folder(3)
