"""Giving back the requests that Litestar's mounts take by mistake.

Litestar recognises a mount by the beginning of the path without looking for the slash behind it,
so that a mount at `/config` also gets `/configuration`. Its routes with a `path` parameter, which
would do better, do not work for raw ASGI handlers. Both were found in Litestar 2.25.
"""

import re
from typing import Any, cast

from litestar._asgi.routing_trie import traversal
from litestar.enums import ScopeType
from litestar.types import Receive, Scope, Send
from litestar.utils.scope.state import ScopeState


async def dispatch_again(scope: Scope, receive: Receive, send: Send, *, mount: str) -> None:
    """Route a request that belongs to a neighbour of `mount`, as if there were no such mount.

    Raises:
        HTTPException: Litestar's own, when there is no such neighbour.
    """
    router: Any = scope["litestar_app"].asgi_router  # its tables are private
    find_route: Any = cast("Any", traversal).parse_path_to_route  # its types are incomplete
    mounts = {path: node for path, node in router._mount_routes.items() if path != mount}  # noqa: SLF001
    others = re.compile("|".join(sorted(mounts, reverse=True))) if mounts else None
    app, handler, path, parameters, template = find_route(
        method=scope["method"] if scope["type"] == ScopeType.HTTP else None,
        mount_paths_regex=others,
        mount_routes=mounts,
        path=mount + scope["path"].rstrip("/"),
        plain_routes=router._plain_routes,  # noqa: SLF001
        root_node=router.root_route_map_node,
    )
    again: dict[str, Any] = cast("dict[str, Any]", scope)  # a TypedDict cannot be updated at will
    again.update(path=path, path_params=parameters, route_handler=handler, path_template=template)
    state = ScopeState.from_scope(cast("Scope", again))
    state.exception_handlers = handler.resolve_exception_handlers()
    await app(cast("Scope", again), receive, send)
