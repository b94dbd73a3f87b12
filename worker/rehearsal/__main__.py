"""`python -m worker.rehearsal`: the engine on its own, for a worker without an API key."""

# Patched before anything else is imported (gevent's own rule).
from worker import green

green.patch()

import argparse  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402

import gevent  # noqa: E402
from gevent.event import Event  # noqa: E402

from worker.rehearsal.scripted import ScriptedBrain  # noqa: E402
from worker.rehearsal.server import BrainFactory, RehearsalServer  # noqa: E402

EXIT_UNUSABLE = 2


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m worker.rehearsal", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes a free one")
    parser.add_argument("--brain", choices=("speaking", "scripted"), default="speaking")
    options = parser.parse_args(arguments)
    server = RehearsalServer(_factory(options.brain), options.host, options.port, record=False)
    try:
        server.start()
    except OSError as error:
        sys.stderr.write(f"rehearsal engine: cannot listen on {options.host}:{options.port}: {error.strerror}\n")
        return EXIT_UNUSABLE
    sys.stdout.write(f"rehearsal engine listening on {server.url}\n")
    sys.stdout.flush()
    stopping = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, stopping.set)
    stopping.wait()
    server.stop()
    return 0


def _factory(brain: str) -> BrainFactory:
    if brain == "scripted":
        return ScriptedBrain
    # The speaking brain needs the demo's wheels; the scripted one runs without them.
    from worker.rehearsal.speaking.brain import SpeakingBrain, warm

    warm()
    return SpeakingBrain


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
