"""`python -m worker.call.document`: the call machine's tables as Markdown (docs/call-machine.md)."""

from __future__ import annotations

import sys

from worker.call.tables import OURS, TABLES

_INTRO = """# The call machine

Generated from `worker/call/tables.py` by `python -m worker.call.document > docs/call-machine.md`; a test compares
the two. A trigger in **bold** is our own decision: without a row it is our bug and raises. Any other trigger
without a row is the peer's nonsense: it is counted and ignored.
"""


def document() -> str:
    """The page, ending in a newline."""
    return "\n".join([_INTRO, *(_table(name) for name in TABLES)])


def _table(name: str) -> str:
    lines = [f"## {name}", "", "| in | on | to | does | why |", "| --- | --- | --- | --- | --- |"]
    for row in TABLES[name]:
        trigger = f"**{row.trigger}**" if row.trigger in OURS else str(row.trigger)
        action = f"`{row.action}`" if row.action else ""
        lines.append(f"| {row.state} | {trigger} | {row.then} | {action} | {row.why} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.stdout.write(document())
