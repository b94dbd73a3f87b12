"""`python -m tests.worker [pytest options]`: this suite in a process that is patched before anything else."""

from worker import green

green.patch()

import sys  # noqa: E402 - nothing may be imported before the patch
from pathlib import Path  # noqa: E402

import pytest  # noqa: E402

ARGUMENTS = sys.argv[1:]
NAMED = any(Path(argument.partition("::")[0]).exists() for argument in ARGUMENTS)

sys.exit(pytest.main(ARGUMENTS if NAMED else ["tests/worker", *ARGUMENTS]))
