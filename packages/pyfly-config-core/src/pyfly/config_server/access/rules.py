"""Rules, and the one function that decides about a right.

Pure: what is opened is named by values, after lists, variants and places are resolved. Nothing is
allowed unless a rule allows it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self, TypeAlias

from pyfly.config_core import ConfigKey, check_name, check_path, decode_slashes, encode_slashes
from pyfly.config_server.access.patterns import BundlePattern, PathPattern
from pyfly.config_server.access.rights import SERVER_RIGHTS, Right

__all__ = [
    "SERVER",
    "Decision",
    "OpenedFile",
    "Rule",
    "Target",
    "WholeServer",
    "decide",
    "parse_target",
]

_BUNDLE_RIGHTS: Final = frozenset({Right.READ, Right.INSPECT, Right.WRITE})


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedFile:
    """A plain file that is opened.

    Raises:
        InvalidConfigKeyError: The label or the path is not acceptable.
    """

    label: str
    path: str
    """Below the label: the opened variant in the opened directory."""

    def __post_init__(self) -> None:
        check_name("label", self.label)
        check_path(self.path)

    def __str__(self) -> str:
        return f"{encode_slashes(self.label)}/{self.path}"


@dataclass(frozen=True, slots=True)
class WholeServer:
    """The target of the rights that do not depend on names."""

    def __str__(self) -> str:
        return "the server"


SERVER: Final = WholeServer()
"""The server itself, on which the rights of `SERVER_RIGHTS` are decided."""

Target: TypeAlias = ConfigKey | OpenedFile | WholeServer
"""What a right is needed on. A `ConfigKey` names a stored bundle, or a document by one application,
one profile and one label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Rights on the bundles, documents and plain files that match patterns.

    Raises:
        ValueError: There is no right, `files` and `Right.FILES` do not come together, or a right on
            the whole server has another pattern than `*/*/*`.
    """

    rights: frozenset[Right]
    on: BundlePattern
    """`application/profile/label`. The label counts for plain files, too."""
    files: PathPattern | None = None
    """The paths of `Right.FILES`."""

    def __post_init__(self) -> None:
        if not self.rights:
            raise ValueError(
                f"the rule on {str(self.on)!r} gives no right; name one, such as 'read'"
            )
        if (Right.FILES in self.rights) is not (self.files is not None):
            raise ValueError(
                f"the rule on {str(self.on)!r} needs the right 'files' together with a pattern of "
                "paths, such as 'orders/**'"
            )
        for right in sorted(self.rights & SERVER_RIGHTS, key=lambda one: one.value):
            if not self.on.is_everything:
                raise ValueError(
                    f"the right {right.value!r} is one on the whole server; give it in a rule on "
                    f"'*/*/*', not on {str(self.on)!r}"
                )

    @classmethod
    def parse(cls, *, rights: Iterable[str], on: str, files: str | None = None) -> Self:
        """Return the rule of these texts, as an access file has them.

        Raises:
            ValueError: A right is unknown, or as for the class.
        """
        return cls(
            rights=frozenset(map(_right, rights)),
            on=BundlePattern(on),
            files=None if files is None else PathPattern(files),
        )

    @classmethod
    def everything(cls, rights: Iterable[Right] = Right) -> Self:
        """Return the rule that gives rights on everything."""
        given = frozenset(rights)
        return cls(
            rights=given,
            on=BundlePattern.everything(),
            files=PathPattern("**") if Right.FILES in given else None,
        )

    def __str__(self) -> str:
        rights = ", ".join(one.value for one in Right if one in self.rights)
        files = "" if self.files is None else f", files {self.files}"
        return f"{rights} on {self.on}{files}"

    def gives_everywhere(self, right: Right) -> bool:
        """True if the rule allows this on every target of the right."""
        if right not in self.rights or not self.on.is_everything:
            return False
        return right is not Right.FILES or (self.files is not None and self.files.is_everything)

    def gives_under(self, right: Right, label: str) -> bool:
        """True if the rule allows this on anything under a label."""
        return right in self.rights and self.on.matches_label(label)

    def gives(self, right: Right, target: Target) -> bool:
        """True if the rule allows this."""
        if right not in self.rights:
            return False
        match target:
            case ConfigKey():
                return right in _BUNDLE_RIGHTS and self.on.matches(target)
            case OpenedFile():
                return (
                    right is Right.FILES
                    and self.files is not None
                    and self.on.matches_label(target.label)
                    and self.files.matches(target.path)
                )
            case WholeServer():
                return right in SERVER_RIGHTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether a right is given, and by which rule."""

    right: Right
    target: Target
    rule: Rule | None
    """The first rule that gives the right; `None` if no rule does."""

    @property
    def is_allowed(self) -> bool:
        """True if a rule gives the right."""
        return self.rule is not None

    def __str__(self) -> str:
        if self.rule is None:
            return f"no rule gives the right '{self.right.value}' on {self.target}"
        return f"the rule '{self.rule}' gives the right '{self.right.value}' on {self.target}"


def decide(rules: Iterable[Rule], right: Right, target: Target) -> Decision:
    """Return whether rules give a right on a target."""
    rule = next((one for one in rules if one.gives(right, target)), None)
    return Decision(right=right, target=target, rule=rule)


def parse_target(right: Right, text: str) -> Target:
    """Return the target of a right, as people write it.

    `application/profile/label` with `(_)` for a `/` in an application; for `Right.FILES`
    `label/path` with `(_)` for a `/` in a label; `*` for rights on the whole server.

    Raises:
        InvalidConfigKeyError: A name is not acceptable.
        ValueError: The text has not this form.
    """
    if right in SERVER_RIGHTS:
        if text != "*":
            raise ValueError(f"'{right.value}' is a right on the whole server; write '*'")
        return SERVER
    if right is Right.FILES:
        label, slash, path = text.partition("/")
        if not slash:
            raise ValueError(f"{text!r} is not label/path, such as 'main/orders/nginx.conf'")
        return OpenedFile(label=decode_slashes(label), path=path)
    parts = text.split("/", 2)
    if len(parts) != 3:  # noqa: PLR2004
        raise ValueError(f"{text!r} is not application/profile/label, such as 'orders/prod/main'")
    application, profile, label = parts
    return ConfigKey(
        application=decode_slashes(application), profile=profile, label=decode_slashes(label)
    )


def _right(text: str) -> Right:
    try:
        return Right(text)
    except ValueError:
        known = ", ".join(one.value for one in Right)
        raise ValueError(f"unknown right {text!r}; the rights are {known}") from None
