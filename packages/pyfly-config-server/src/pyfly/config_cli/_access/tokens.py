"""New tokens: shown once, stored as digests."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from pyfly.config_cli._access.moments import shown_moment
from pyfly.config_cli._console.output import print_json, print_note, print_result
from pyfly.config_server.access.access_file import StoredToken
from pyfly.config_server.access.tokens import digest_of, make_token

_LETTERS: Final = "23456789abcdefghjkmnpqrstuvwxyz"
"""Digits and letters that nobody takes for another."""
_ID_LENGTH: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A token, and what is stored of it."""

    text: str = field(repr=False)
    stored: StoredToken


def new_token(known: Iterable[str], *, created: datetime, expires: datetime | None) -> NewToken:
    """Return a token whose id is none of the known ones."""
    ids = {*known}
    while (token_id := "".join(secrets.choice(_LETTERS) for _ in range(_ID_LENGTH))) in ids:
        pass
    text = make_token()
    stored = StoredToken(
        id=token_id, digest=digest_of(text.encode()), created=created, expires=expires
    )
    return NewToken(text=text, stored=stored)


def print_token(principal: str, token: NewToken, *, notes: Iterable[str], as_json: bool) -> None:
    """Print a token, alone on standard output, so that a script can take it."""
    expires = shown_moment(token.stored.expires)
    if as_json:
        print_json(
            {"principal": principal, "id": token.stored.id, "token": token.text, "expires": expires}
        )
        return
    ends = f"it expires at {expires}" if expires else "it does not expire"
    print_note(f"token {token.stored.id} of {principal}; {ends}; it is shown only now:")
    print_result(token.text)
    for note in notes:
        print_note(note)
