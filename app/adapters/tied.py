"""Run a program that ends when the process that started it ends, even by kill -9. Standard library only.

`Popen(tied(argv))` starts this file, which drops privileges, asks the kernel for a signal at its parent's
death and then becomes the program. prctl(2): the request is forgotten when the user id changes, so it comes
after that; and "parent" is the *thread* that forked, so start tied programs from a thread that stays.
Outside Linux there is no such request: the program then outlives a killed parent.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass

_PR_SET_PDEATHSIG = 1  # with 0 for the signal: none


@dataclass(frozen=True)
class Account:
    """A user and a group id to run as."""

    uid: int
    gid: int


def tied(argv: Sequence[str], death: signal.Signals = signal.SIGTERM, run_as: Account | None = None) -> list[str]:
    """The command line that runs `argv` (absolute path first), sent `death` when this process ends."""
    account = f"{run_as.uid}:{run_as.gid}" if run_as else "-"
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(int(death)), account, *argv]


def main(parent: str, death: str, account: str, *argv: str) -> None:
    """Become `argv`; see `tied` for the arguments."""
    if account != "-":
        uid, gid = (int(part) for part in account.split(":"))
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(death))
    if os.getppid() != int(parent):
        sys.exit("the process that started this one is gone")
    os.execv(argv[0], argv)  # noqa: S606 - no shell is meant


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except OSError as error:
        sys.exit(f"cannot run {sys.argv[4]}: {error.strerror}")
