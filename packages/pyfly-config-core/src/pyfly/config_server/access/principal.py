"""Principals: the senders of requests, with their rules."""

from dataclasses import dataclass
from typing import Final

from pyfly.config_server.access.rights import Right
from pyfly.config_server.access.rules import Decision, Rule, Target, decide

__all__ = ["ANONYMOUS", "Principal"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Principal:
    """The sender of a request, as an authenticator identified it.

    What was decided for a principal is remembered for this very object: an authenticator returns
    the same object as long as the rules are the same, and another one when they have changed.
    """

    name: str | None
    """The author that is recorded for writes; `None` for an anonymous principal."""
    rules: tuple[Rule, ...] = ()
    """What the principal may do. Nothing else is allowed."""

    def has(self, right: Right) -> bool:
        """True if the principal has `right` on anything."""
        return any(right in rule.rights for rule in self.rules)

    def may_everywhere(self, right: Right) -> bool:
        """True if one rule gives `right` on everything."""
        return any(rule.gives_everywhere(right) for rule in self.rules)

    def may_under(self, right: Right, label: str) -> bool:
        """True if the principal has `right` on anything under a label."""
        return any(rule.gives_under(right, label) for rule in self.rules)

    def decide(self, right: Right, target: Target) -> Decision:
        """Return whether the principal has `right` on a target, and by which rule."""
        return decide(self.rules, right, target)

    def may(self, right: Right, target: Target) -> bool:
        """True if the principal has `right` on a target."""
        return self.decide(right, target).is_allowed


ANONYMOUS: Final = Principal(
    name=None, rules=(Rule.everything(right for right in Right if right is not Right.WRITE),)
)
"""The principal of all requests to a server without authentication: every right but `WRITE`."""
