"""Make, list and revoke the tokens with which scripts use the REST interface."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model

from executions.management.command import PlainCommand, Refused
from executions.management.database import ensure_schema
from executions.models import ApiToken
from executions.services.tokens import create_token, revoke_token

LONGEST_DAYS = 3650


class Command(PlainCommand):
    help = "Tokens of the REST interface: `create` prints one, once; `list` shows what there is; `revoke` ends one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = verbs.add_parser("create", help="make a token and print it; it cannot be shown again")
        create.add_argument("username", metavar="USERNAME", help="whoever has the token acts as this user")
        create.add_argument("--name", default="", help="what it is used for")
        create.add_argument(
            "--days", type=int, metavar="N", help="how long it is good for (default: until revoked)"
        )
        listing = verbs.add_parser("list", help="one line a token: key id, owner, state, last used, name")
        listing.add_argument("username", metavar="USERNAME", nargs="?", help="only this user's")
        revoke = verbs.add_parser("revoke", help="end a token")
        revoke.add_argument("key_id", metavar="KEY_ID", help="its key id, or its first two parts: mge_…")

    def perform(self, options: dict[str, Any]) -> None:
        ensure_schema()
        match options["verb"]:
            case "create":
                self._create(options["username"], options["name"], options["days"])
            case "list":
                self._list(options["username"])
            case _:
                revoke_token(key_id=options["key_id"].removeprefix("mge_").split("_")[0])

    def _create(self, username: str, name: str, days: int | None) -> None:
        owner = get_user_model().objects.filter(username=username).first()
        if owner is None:
            raise Refused(f"there is no user {username!r}; make one with `manage.py createsuperuser`")
        if len(name) > 100:
            raise Refused("--name: at most 100 characters")
        if days is not None and not 1 <= days <= LONGEST_DAYS:
            raise Refused(f"--days: must be from 1 to {LONGEST_DAYS}")
        _, text = create_token(owner=owner, name=name, days=days)
        self.stdout.write(text)
        self.stderr.write("keep it now: it is not stored and cannot be shown again")

    def _list(self, username: str | None) -> None:
        tokens = ApiToken.objects.select_related("owner")
        if username is not None:
            tokens = tokens.filter(owner__username=username)
        for token in tokens:
            until = "" if token.expires_at is None else f" until {token.expires_at:%Y-%m-%d}"
            used = "never used" if token.last_used_at is None else f"used {token.last_used_at:%Y-%m-%d %H:%M}"
            state = "enabled" if token.enabled else "revoked"
            self.stdout.write(
                f"{token.key_id} {token.owner.get_username()} {state}{until} {used} {token.name}".rstrip()
            )
