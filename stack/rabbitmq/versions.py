"""Which RabbitMQ a node runs: the one that is installed, or version 4 from a root folder of Debian 13."""

import os
import platform
import shutil
import subprocess
from pathlib import Path

from stack.cache import build_once, cache_directory
from stack.errors import MissingTool, StackError
from stack.server import Program, Workshop

LIBRARY = Path("/usr/lib/rabbitmq/lib")
SUITE, SUITE_VERSION = "trixie", 4


def installed_version() -> int | None:
    """The major version of the RabbitMQ that is installed, None when there is none."""
    folders = sorted(LIBRARY.glob("rabbitmq_server-*"))
    return int(folders[-1].name.partition("-")[2].split(".")[0]) if folders else None


def needs_root_folder(wanted: int | None) -> bool:
    """Whether the wanted version comes out of a root folder, not from the system.

    Raises:
        StackError: it comes from nowhere.
    """
    installed = installed_version()
    if wanted is None or wanted == installed:
        return False
    if wanted != SUITE_VERSION:
        raise StackError(f"RabbitMQ {wanted} is not to be had here: {installed or 'none'} is installed.")
    return True


def root_folder() -> Path:
    """Where the root folder with RabbitMQ 4 is, once `fetch_root_folder` made it."""
    return cache_directory() / f"rabbitmq-{SUITE_VERSION}-{SUITE}-{platform.machine()}"


def fetch_root_folder(workshop: Workshop) -> Path:
    """Make the root folder by debootstrap, once; half a minute and 370 MB.

    Raises:
        StackError: the caller is not root, debootstrap is missing, or it failed.
    """

    def build(folder: Path) -> None:
        if os.geteuid() != 0:
            raise StackError("RabbitMQ 4 runs from a root folder here, and only root can change into one.")
        if not shutil.which("debootstrap", path=f"{os.environ.get('PATH', '')}:/usr/sbin"):
            raise MissingTool("debootstrap is not installed: `RABBITMQ=4 python3 -m stack install` gets it.")
        include = "--include=rabbitmq-server"
        argv = ("debootstrap", "--variant=minbase", include, SUITE, str(folder), _mirror())
        # In a mount namespace of its own, so that nothing stays mounted in the folder, however debootstrap ends.
        workshop.run(Program("rabbitmq-download", ("unshare", "--mount", *argv), os.environ))
        shutil.rmtree(folder / "var/cache/apt/archives", ignore_errors=True)

    return build_once(root_folder().name, build)


def _mirror() -> str:
    """The address from which this machine gets Debian's packages.

    Raises:
        StackError: apt knows none.
    """
    command = ("apt-get", "indextargets", "--format", "$(SITE) $(ORIGIN) $(LABEL)", "Created-By: Packages")
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    sites = [site for site, *names in map(str.split, lines) if names == ["Debian", "Debian"]]
    if not sites:
        raise StackError("apt knows no source of Debian's packages to take RabbitMQ 4 from.")
    return sites[0]


def enter(root: Path, folder: Path, program: str, *arguments: str) -> tuple[str, ...]:
    """The command that runs a program in the root folder, with `folder` at /mnt.

    What it mounts is seen by this program alone and goes with it, also when it is killed.
    """
    script = (
        'mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && mount --bind "$2" "$1/mnt" '
        '&& root="$1" && shift 2 && exec chroot "$root" "$@"'
    )
    return ("unshare", "--mount", "sh", "-c", script, "sh", str(root), str(folder), program, *arguments)
