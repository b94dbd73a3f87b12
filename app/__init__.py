"""Moed: `create_app` builds the Flask application; both processes take their services from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from app.settings import Settings


def create_app(settings: Settings) -> Flask:
    """The application: extensions, services, blueprints, error handlers. Raises SettingsError.

    Imports stand here and not above, because importing `app.domain` or `app.settings` runs this file, and the
    core is to need nothing but the standard library.
    """
    from flask import Flask
    from flask_migrate import Migrate

    from app import cli
    from app.domain.webhooks import rules_for
    from app.models import db
    from app.schema import MIGRATIONS
    from app.services import build_services
    from app.services.database import engine_options

    settings.require("database_url")
    app = Flask(__name__, static_folder=None)
    app.config["SQLALCHEMY_DATABASE_URI"] = settings.database_url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = engine_options(settings.db_pool_size)
    app.config["PUBLIC_BASE_URL"] = settings.public_base_url
    db.init_app(app)
    Migrate(app, db, directory=str(MIGRATIONS.parent), render_as_batch=False)
    with app.app_context():
        app.extensions["moed"] = build_services(
            db.engine, webhook_rules=rules_for(private_allowed=settings.webhook_allow_private)
        )
    _trust_proxies(app, settings.trusted_proxies)
    _add_routes(app, settings)
    cli.register(app)
    return app


def _trust_proxies(app: Flask, count: int) -> None:
    """Take the client's address, scheme and host from as many proxies as there are, and from nobody else."""
    from werkzeug.middleware.proxy_fix import ProxyFix

    if count:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=count, x_proto=count, x_host=count)  # type: ignore[method-assign]


def _add_routes(app: Flask, settings: Settings) -> None:
    """Every blueprint and handler of the process, one a line."""
    import structlog

    from app.api import error_handlers, health, request_ids, rest
    from app.services import services_of
    from app.voice.signature import request_check
    from app.voice.twiml import CallUrls
    from app.voice.views import voice_blueprint

    services = services_of(app)
    request_ids.register(app)
    error_handlers.register(app)
    rest.register(app, settings.api_rate_limit_per_min, secure_cookies=settings.secure_cookies)
    app.register_blueprint(health.health_blueprint(services.readiness.database_problems))
    if _takes_calls(settings):
        check, urls = request_check(settings), CallUrls.from_settings(settings)
        app.register_blueprint(voice_blueprint(services.calls, check, urls))
    else:
        structlog.get_logger(__name__).debug("voice webhooks are off: their settings are not complete")


def _takes_calls(settings: Settings) -> bool:
    """Whether the carrier can be answered. With an empty auth token anybody could sign."""
    signed = bool(settings.twilio_auth_token) or not settings.twilio_signature_check
    return signed and bool(settings.public_base_url and settings.media_public_url)
