"""Recognition in processes of their own: pocketsphinx is CPU-bound and would stop the hub.

Works in a process that is patched by gevent and in one that is not: pipes and locks are the standard library's.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue

import structlog

from worker.rehearsal.speaking import wideband
from worker.rehearsal.speaking.recogniser_process import ANSWER, REQUEST

log = structlog.get_logger(__name__)

DEADLINE_S = 10.0
PROCESSES = 2


class RecogniserError(Exception):
    """The recogniser did not answer; it is started anew for the next request."""


class Recogniser:
    """A pool of recognising processes, started when first used. They end with this process."""

    def __init__(self, processes: int = PROCESSES) -> None:
        self._idle: SimpleQueue[_Process] = SimpleQueue()
        for _ in range(processes):
            self._idle.put(_Process())

    def warm(self, *grammars: str) -> None:
        """Start every process and compile these grammars in it: the first caller need not wait for that."""
        silence = b"\xff" * 1600
        with self._all() as processes:
            for process in processes:
                for grammar in grammars:
                    process.ask(grammar, wideband.widen(silence))

    def recognise(self, pcmu: bytes, grammar: str) -> str:
        """The words of telephone audio (µ-law, 8 kHz) by a JSGF grammar; empty when it fits none.

        Raises `RecogniserError`.
        """
        samples = wideband.widen(pcmu)
        process = self._idle.get()
        try:
            return process.ask(grammar, samples)
        finally:
            self._idle.put(process)

    def close(self) -> None:
        """End the processes; a later request starts them anew."""
        with self._all() as processes:
            for process in processes:
                process.close()

    @contextmanager
    def _all(self) -> Iterator[list[_Process]]:
        processes = [self._idle.get() for _ in range(self._idle.qsize())]
        try:
            yield processes
        finally:
            for process in processes:
                self._idle.put(process)


class _Process:
    """One child, and the pipes to it."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None

    def ask(self, grammar: str, samples: bytes) -> str:
        child = self._running()
        watchdog = threading.Timer(DEADLINE_S, child.kill)
        watchdog.daemon = True
        watchdog.start()
        try:
            return _exchange(child, grammar.encode(), samples)
        except (OSError, EOFError) as error:
            self.close()
            log.error("recogniser did not answer", exit_code=child.returncode)
            raise RecogniserError("the recogniser did not answer") from error
        finally:
            watchdog.cancel()

    def close(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.communicate()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._child.poll() is not None:
            command = [sys.executable, "-m", "worker.rehearsal.speaking.recogniser_process"]
            self._child = subprocess.Popen(  # noqa: S603 - our own module
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        return self._child


def _exchange(child: subprocess.Popen[bytes], grammar: bytes, samples: bytes) -> str:
    if child.stdin is None or child.stdout is None:
        raise EOFError
    child.stdin.write(REQUEST.pack(len(grammar), len(samples)) + grammar + samples)
    child.stdin.flush()
    header = child.stdout.read(ANSWER.size)
    if len(header) < ANSWER.size:
        raise EOFError
    (size,) = ANSWER.unpack(header)
    return child.stdout.read(size).decode()
