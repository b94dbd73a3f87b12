# Sourced by bin/demo, bin/test and bin/setup: sets root (this checkout) and python (3.11 or newer).
# Needs nothing but a shell.

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P) || exit 2

python=
moed_try() { # keeps $1 if it is a Python we can use; better one that can make virtual environments
  "$1" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' </dev/null >/dev/null 2>&1 || return 1
  [ -n "$python" ] || python=$1
  "$1" -I -c 'import ensurepip, venv' </dev/null >/dev/null 2>&1 || return 1
  python=$1
}

if [ -n "${MOED_PYTHON:-}" ]; then
  moed_try "$MOED_PYTHON"
else
  # Those first for which every pinned library has a wheel.
  for candidate in python3.11 python3.13 python3.12 python3; do
    moed_try "$candidate" && break
  done
fi
if [ -z "$python" ]; then
  echo "moed: needs Python 3.11 or newer${MOED_PYTHON:+, and MOED_PYTHON=$MOED_PYTHON is not}; none was found" >&2
  exit 2
fi
