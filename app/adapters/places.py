"""Where this checkout keeps what it makes on this machine. Standard library only: `bin/_launch.py` reads it too.

An ordinary user keeps everything inside the checkout. Root keeps the database under a system folder, because
PostgreSQL refuses to run as root and the account it runs as may not enter a home of mode 0700; and root leaves
nothing at all in a checkout of somebody else, who could not remove it.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
SYSTEM_ROOT = Path("/var/lib/moed")


def is_root() -> bool:
    """Whether this process runs as root."""
    return os.geteuid() == 0


def is_guest(checkout: Path = CHECKOUT) -> bool:
    """Whether root runs in a checkout that belongs to somebody else."""
    return is_root() and checkout.stat().st_uid != 0


def system_folder(checkout: Path = CHECKOUT) -> Path:
    """Root's folder for this checkout, one for each path."""
    return SYSTEM_ROOT / hashlib.sha256(os.fsencode(checkout)).hexdigest()[:12]


def state_folder(checkout: Path = CHECKOUT) -> Path:
    """Where data and logs of this user's runs go."""
    return system_folder(checkout) if is_root() else checkout / ".data"


def environment_folder(checkout: Path = CHECKOUT) -> Path:
    """The virtual environment of this user for this checkout."""
    return system_folder(checkout) / "venv" if is_guest(checkout) else checkout / ".venv"


def make_folder(folder: Path) -> None:
    """Make `folder` and its missing parents, for everyone to enter (root) or for this user alone.

    The mode is set by hand: under root's umask 077 the database's account could not enter.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755 if is_root() else 0o700)
