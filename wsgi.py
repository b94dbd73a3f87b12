"""What gunicorn and `flask --app wsgi` load."""

from __future__ import annotations

import sys

from gevent import monkey

from app import create_app
from app.logs import configure
from app.settings import EXIT_BAD_SETTINGS, SettingsError, load_settings

DATABASE_DEADLINE_S = 5.0

if monkey.is_module_patched("socket"):
    # Under gunicorn's gevent worker, which patches before it loads this.
    from app.adapters import green_psycopg

    green_psycopg.install(DATABASE_DEADLINE_S)

try:
    settings = load_settings()
    configure(settings)
    app = create_app(settings)
except SettingsError as error:
    sys.stderr.write(f"moed: {error}\n")
    sys.exit(EXIT_BAD_SETTINGS)
