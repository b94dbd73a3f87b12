"""What gunicorn and `flask --app wsgi` load."""

from __future__ import annotations

import sys

from app import create_app
from app.logs import configure
from app.settings import EXIT_BAD_SETTINGS, SettingsError, load_settings

try:
    settings = load_settings()
    configure(settings)
    app = create_app(settings)
except SettingsError as error:
    sys.stderr.write(f"moed: {error}\n")
    sys.exit(EXIT_BAD_SETTINGS)
