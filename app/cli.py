"""Commands of an operator's shell: `flask --app wsgi NAME`. What goes wrong is one line on stderr, exit code 2."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import click
from flask import Flask, current_app
from flask.cli import with_appcontext

from app.domain.access import BUSINESS_SCOPES, OPERATOR, SCOPES, Role
from app.domain.api_keys import NewApiKey
from app.domain.businesses import LANGUAGES, NewBusiness
from app.domain.users import NewUser
from app.errors import MoedError
from app.schema import SchemaProblem, wait_for_schema
from app.services import Services, services_of
from app.services.demo_data import DEMO_PHONE_NUMBER, seed_demo_business

ACTOR = "operator"
EXIT_REFUSED = 2


class Refused(click.ClickException):
    """A command that can't be carried out."""

    exit_code = EXIT_REFUSED

    def show(self, file: Any = None) -> None:
        """One line, for a person or a log."""
        click.echo(f"moed: {self.format_message()}", err=True)


class Command(click.Command):
    """A command whose errors are one line each: wrong options, a database that is not ready, ours."""

    def make_context(self, *arguments: Any, **rest: Any) -> click.Context:
        """See click.Command."""
        try:
            return super().make_context(*arguments, **rest)
        except click.UsageError as error:
            raise Refused(" ".join(error.format_message().split())) from None

    def invoke(self, ctx: click.Context) -> Any:
        """See click.Command."""
        try:
            return super().invoke(ctx)
        except (MoedError, SchemaProblem) as error:
            raise Refused(str(error)) from None
        except click.UsageError as error:
            raise Refused(error.format_message()) from None


class BusinessId(click.ParamType[int]):
    """A business's id, or the word `operator`."""

    name = "ID|operator"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """See click.ParamType."""
        if value == "operator":
            return OPERATOR
        if not (str(value).isascii() and str(value).isdigit() and 0 < int(value) < 2**63):
            self.fail("must be a business's id or the word operator", param, ctx)
        return int(value)


def register(app: Flask) -> None:
    """Give `app` the commands."""
    app.cli.add_command(create_owner)
    app.cli.add_command(create_key)
    app.cli.add_command(demo_data)


@click.command("create-owner", cls=Command)
@click.option("--business", "business_id", type=click.IntRange(1, 2**63 - 1), help="The id of a business.")
@click.option("--new-business", metavar="NAME", help="Make a business of this name first.")
@click.option("--timezone", help="Of the new business, for example Asia/Jerusalem.")
@click.option("--language", type=click.Choice(LANGUAGES), help="Of the new business.")
@click.option("--country", help="Of the new business, two letters; IL if it is not given.")
@click.option("--email", required=True, help="What the owner logs in with.")
@click.option("--name", required=True, help="The owner's name.")
@click.option("--password-stdin", is_flag=True, help="Read the password from the first line of standard input.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@with_appcontext
def create_owner(
    *,
    business_id: int | None,
    new_business: str | None,
    email: str,
    name: str,
    password_stdin: bool,
    as_json: bool,
    **particulars: str | None,
) -> None:
    """Make a user who may do everything in a business, and the business too if there is none yet."""
    given: dict[str, Any] = {option: value for option, value in particulars.items() if value is not None}
    if (business_id is None) == (new_business is None):
        raise click.UsageError("give either --business or --new-business")
    if business_id is not None and given:
        raise click.UsageError(f"--{next(iter(given))} goes with --new-business")
    if business_id is None and not {"timezone", "language"} <= set(given):
        raise click.UsageError("--new-business needs --timezone and --language")
    services = ready_services()
    owner = NewUser(email, name, Role.OWNER, _password(from_stdin=password_stdin))
    if business_id is None:
        made = services.users.create_business_with_owner(NewBusiness(new_business or "", **given), owner, ACTOR)
    else:
        made = services.users.create_user(business_id, owner, ACTOR, BUSINESS_SCOPES)
    if as_json:
        click.echo(json.dumps({"business_id": made.business_id, "user_id": made.id}))
    else:
        click.echo(f"business {made.business_id}: user {made.id} is an owner")


@click.command("create-key", cls=Command)
@click.option("--business", "business_id", type=BusinessId(), required=True, help="Whose key it is.")
@click.option("--name", required=True, help="What the key is for; it stands in the list of keys.")
@click.option("--scope", "scopes", multiple=True, help="What it may do; may be given several times.")
@click.option("--all", "everything", is_flag=True, help="It may do all that there is.")
@click.option("--read-only", is_flag=True, help="It may see everything and change nothing.")
@click.option("--expires-days", type=click.IntRange(1, 36_500), help="For so many days; without it, for good.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@with_appcontext
def create_key(
    *,
    business_id: int,
    name: str,
    scopes: tuple[str, ...],
    everything: bool,
    read_only: bool,
    expires_days: int | None,
    as_json: bool,
) -> None:
    """Make an API key and print it. It can't be printed again: only its hash is stored."""
    if [bool(scopes), everything, read_only].count(True) != 1:
        raise click.UsageError("give one of --scope, --all and --read-only")
    possible = frozenset(SCOPES) if business_id == OPERATOR else BUSINESS_SCOPES
    if everything:
        wanted = possible
    elif read_only:
        wanted = frozenset(scope for scope in possible if scope.endswith(":read"))
    else:
        wanted = frozenset(scopes)
    expires_at = None if expires_days is None else datetime.now(UTC) + timedelta(days=expires_days)
    made = ready_services().api_keys.create_key(
        business_id, NewApiKey(name, wanted, expires_at), ACTOR, frozenset(SCOPES)
    )
    if not as_json:
        click.echo(made.token)
        return
    answer = {
        "id": made.details.id,
        "business_id": made.details.business_id,
        "scopes": made.details.scopes,
        "expires_at": None if made.details.expires_at is None else made.details.expires_at.isoformat(),
        "token": made.token,
    }
    click.echo(json.dumps(answer))


@click.command("demo-data", cls=Command)
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@with_appcontext
def demo_data(*, as_json: bool) -> None:
    """Make the demo's business if it is not there yet, and a new API key that may do everything in it."""
    services = ready_services()
    business_id = seed_demo_business(services)
    made = services.api_keys.create_key(
        business_id, NewApiKey("demo-data", BUSINESS_SCOPES), ACTOR, BUSINESS_SCOPES
    )
    answer = {"business_id": business_id, "phone_number": DEMO_PHONE_NUMBER, "api_key": made.token}
    if as_json:
        click.echo(json.dumps(answer))
        return
    for name, value in answer.items():
        click.echo(f"{name}: {value}")


def ready_services() -> Services:
    """The services, once it is known that there is a database and that it is migrated. Raises SchemaProblem."""
    url = current_app.config["SQLALCHEMY_DATABASE_URI"]
    wait_for_schema(url, say=lambda _: None, deadline_s=0)
    return services_of(current_app)


def _password(*, from_stdin: bool) -> str:
    """Never an argument: everybody on the machine can read those."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise click.UsageError("no terminal to ask for the password: give it with --password-stdin")
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return password
