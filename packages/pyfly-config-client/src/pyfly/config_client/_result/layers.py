"""Property sources as layers: made from trees, cut to a section, resolved. Pure functions."""

from collections.abc import Mapping

from pyfly.config_client._result.names import below, relaxed, variable
from pyfly.config_core import (
    ConfigFormatError,
    FlatValue,
    PlaceholderResolver,
    PropertySource,
    copy_properties,
    flatten,
)


def resolve(values: dict[str, FlatValue], environ: Mapping[str, str]) -> None:
    """Resolve placeholders in place, against variables first and then the values (§4.4).

    Raises:
        ConfigFormatError: One leads back to itself. Names the key, shows no value.
    """
    raw = dict(values)

    def look_up(key: str) -> str | None:
        found = environ.get(key, environ.get(variable(key)) if key else None)
        if found is not None or key not in raw:
            return found
        value = raw[key]
        return str(value).lower() if isinstance(value, bool) else str(value)

    resolver = PlaceholderResolver(look_up)
    for key, value in raw.items():
        if isinstance(value, str) and "${" in value:
            try:
                values[key] = resolver.resolve(value)
            except ConfigFormatError as error:
                raise ConfigFormatError(f"{key!r}: {error.reason}") from error


def source_of(name: str, tree: Mapping[str, object] | None) -> PropertySource:
    """Return a tree, flat or nested, as a source.

    Raises:
        ConfigFormatError: It is too deep, too large, or of other types than JSON has.
    """
    return PropertySource(name=name, source=flatten(copy_properties(tree or {})))


def cut(source: PropertySource, prefix: str) -> PropertySource:
    """Return what lies below a prefix, without it."""
    keys = {key: rest[1:] for key, rest in below(source.source, prefix) if inside(rest)}
    return PropertySource(
        name=source.name,
        source={short: source.source[key] for key, short in keys.items()},
        origins={s: source.origins[key] for key, s in keys.items() if key in source.origins},
    )


def inside(rest: str) -> bool:
    """Tell whether what follows a prefix is a property of its section."""
    return rest.startswith(".")


def competes(other: str, key: str) -> bool:
    """Tell whether a key of another source gives way to this one: the same, or the same list."""
    stem, bracket, _ = key.partition("[")
    if relaxed(other) == relaxed(key):
        return True
    return bool(bracket) and relaxed(other.partition("[")[0]) == relaxed(stem)
