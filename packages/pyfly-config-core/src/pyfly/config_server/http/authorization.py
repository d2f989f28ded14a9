"""Refusing requests whose principal lacks a right on what they open.

An endpoint declares with one of the functions `…_right` on what its right is decided. The names of
a request are decided before anything is looked up, so that what does not exist is refused like
what may not be seen.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Final, TypeAlias

from pyfly.config_server.access import ANONYMOUS, SERVER, Need, Principal, Right, missing
from pyfly.config_server.composition.needed_rights import listed_otherwise, moved_by, owners_of
from pyfly.config_server.http.errors import HttpError

if TYPE_CHECKING:
    from pyfly.config_server.http.context import RequestContext

__all__ = [
    "RightCheck",
    "bundle_right",
    "check_anywhere",
    "require",
    "right_on_answer",
    "right_on_rows",
    "server_right",
]

RightCheck: TypeAlias = Callable[["RequestContext", Right], Awaitable[None]]
"""Raises `HttpError` 403 unless the principal of a request has a right on what it opens."""

_READ_ONLY: Final = "writing over HTTP is disabled; configure a credential on the server"


async def server_right(context: "RequestContext", right: Right) -> None:
    """Refuse a principal without a right on the whole server."""
    require(context.principal, [Need(right, SERVER)])


async def bundle_right(context: "RequestContext", right: Right) -> None:
    """Refuse a principal without a right on the bundle in the path.

    The right is needed on the bundle that a listing names for its file, too. To write, it is needed
    on those that lose a file in a listing by it: a new `orders.yml` makes `orders-service.yml`
    a profile of `orders`.
    """
    principal, key = context.principal, context.key
    require(principal, [Need(right, key)])
    if principal.may_everywhere(right):
        return
    owners = await owners_of(context.server, key)
    needs = [Need(right, owner) for owner in owners]
    require(principal, needs, shown=lambda _: listed_otherwise(str(key)))
    if right is Right.WRITE:
        is_removed = context.request.method == "DELETE"
        moved = await moved_by(context.server, key, is_removed=is_removed)
        needs = [Need(right, owner) for owner in moved]
        require(
            principal,
            needs,
            shown=lambda _: f"bundles whose files would belong to others, because of {key}",
        )


async def right_on_answer(context: "RequestContext", right: Right) -> None:
    """Leave the decision to `DocumentHandler`, which knows what was opened for the answer."""
    del context, right


async def right_on_rows(context: "RequestContext", right: Right) -> None:
    """Leave the decision to the handler, which leaves out the rows that may not be seen."""
    del context, right


def check_anywhere(principal: Principal, right: Right) -> None:
    """Refuse a principal that has a right on nothing at all.

    Raises:
        HttpError: 403.
    """
    if not principal.has(right):
        raise _forbidden(principal, f"the right '{right.value}' is missing")


def _target(need: Need) -> str:
    return str(need.target)


def require(
    principal: Principal, needs: Iterable[Need], *, shown: Callable[[Need], str] = _target
) -> None:
    """Refuse a principal that lacks one of these rights.

    Args:
        principal: The principal.
        needs: The rights.
        shown: Returns the name of a target for the message.

    Raises:
        HttpError: 403; names the first right that is missing, and on what.
    """
    refused = missing(principal, needs)
    if refused is not None:
        need = Need(refused.right, refused.target)
        what = f"the right '{need.right.value}' is missing on {shown(need)}"
        raise _forbidden(principal, what)


def _forbidden(principal: Principal, message: str) -> HttpError:
    return HttpError(403, "forbidden", _READ_ONLY if principal is ANONYMOUS else message)
