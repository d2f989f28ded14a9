"""Conversion to models and types of pydantic: fields are converted first, then validated.

Only loaded for a type of pydantic; the program has then imported pydantic itself.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeAlias, cast

from pyfly.config_client._merging import as_text
from pyfly.config_client._readers import (
    ABSENT,
    MISMATCH,
    Reader,
    child_path,
    fault,
    guarded,
    read_raw,
    section_of,
)
from pyfly.config_client._types import canonical_names, type_name, without_none
from pyfly.config_client._views import Node, plain
from pyfly.config_core.property_names import below

MakeReader: TypeAlias = Callable[[Any], Reader]
"""Returns the reader of a type; the values of an unsupported type are not converted."""

_OWN_TEXT: Final = {"value_error", "assertion_error"}
"""Types of errors whose text the program wrote; it may show the value."""


def model_validating_reader(model: Any, make_reader: MakeReader) -> Reader:
    """Return the reader of a model.

    Args:
        model: The class. It may contain itself.
        make_reader: Makes the readers of its fields when a node is read.
    """
    return guarded(_ModelReader(model, make_reader).read)


def adapter_reader(wanted: Any) -> Reader:
    """Return the reader of a type of pydantic, such as `SecretStr` or `HttpUrl`."""
    from pydantic import TypeAdapter  # noqa: PLC0415 - `settings` and models need no adapter

    adapter: Any = TypeAdapter(wanted)

    def read(node: Node, path: str, faults: list[str]) -> Any:
        before = len(faults)
        value = read_raw(node, path, faults)
        if len(faults) > before:
            return None
        for form in (value, as_text(value)) if isinstance(value, bool | int | float) else (value,):
            try:
                return adapter.validate_python(form)
            except MISMATCH:  # includes pydantic's ValidationError, which shows values
                continue
        return ABSENT if value == "" else fault(faults, path, f"is not {type_name(wanted)}")

    return read


def settings_values(model: Any, node: Node, make_reader: MakeReader) -> dict[str, Any]:
    """Return the values of the fields of a settings class.

    A value that cannot be converted is no error here, because another source may take precedence
    over it. It is replaced by an object that pydantic rejects. Fields that are models are
    mappings, which pydantic-settings merges with those of other sources.

    Raises:
        PropertyTypeError: The placeholders of a value that is not converted cannot be resolved.
    """
    found: dict[str, Any] = {}
    for one in _fields_of(model):
        option, child = one.find(node)
        if option is None or child is None:
            continue
        inner = without_none(one.wanted)
        if child.children and hasattr(inner, "model_fields") and not _is_root(inner):
            found[option.taken] = settings_values(inner, child, make_reader)
            continue
        faults: list[str] = []
        value = one.reader(option, make_reader)(child, option.taken, faults)
        if faults:
            plain(child)  # raises if a value cannot be resolved
            value = _InvalidValue(faults[0].removeprefix(f"the property {option.taken!r} "))
        if value is not ABSENT:
            found[option.taken] = value
    return found


class _InvalidValue:
    """Replaces a value that cannot be converted; pydantic shows its `repr` as the input."""

    def __init__(self, fault: str) -> None:
        self._fault = fault

    def __repr__(self) -> str:
        return f"<{self._fault}>"


class _Option(NamedTuple):
    """One of the names of a field."""

    taken: str
    """The key that the model expects."""
    names: tuple[str, ...]
    is_part: bool = False
    """The field is a part of the value of this name; pydantic extracts it."""


class _Field(NamedTuple):
    """A field of a model."""

    name: str
    options: tuple[_Option, ...]
    wanted: Any
    required: bool
    takes_raw: bool

    def find(self, node: Node) -> tuple[_Option | None, Node | None]:
        """Return the first name that exists as a property, and its node."""
        for option in self.options:
            for name in option.names:
                if (found := node.find(name)) is not None:
                    return option, found
        return None, None

    def reader(self, option: _Option, make_reader: MakeReader) -> Reader:
        """Return its reader. A validator that runs first gets the value without conversion."""
        return read_raw if self.takes_raw or option.is_part else make_reader(self.wanted)


def _fields_of(model: Any) -> Iterator[_Field]:
    for name, info in cast("Mapping[str, Any]", model.model_fields).items():
        yield _Field(
            name=name,
            options=tuple(_options(name, info)),
            wanted=info.annotation,
            required=info.is_required(),
            takes_raw=any(map(_comes_first, info.metadata)),
        )


def _options(name: str, info: Any) -> Iterator[_Option]:
    """Yield the names that a model accepts for a field, and then the name of the field."""
    alias = info.alias or name if info.validation_alias is None else info.validation_alias
    choices: list[Any] = getattr(alias, "choices", [alias])
    for choice in choices:
        path = getattr(choice, "path", None)
        taken = choice if path is None else path[0]
        yield _Option(taken, canonical_names(taken), is_part=path is not None)
    texts = [choice for choice in choices if isinstance(choice, str)]
    if texts and name not in texts:
        yield _Option(texts[0], canonical_names(name))


def _comes_first(note: object) -> bool:
    """True for an annotation that reads the value before it is converted."""
    return hasattr(note, "__get_pydantic_core_schema__") and type(note).__name__ != "AfterValidator"


def _is_root(model: Any) -> bool:
    return bool(getattr(model, "__pydantic_root_model__", False))


class _ModelReader:
    """Reads a model: converts its fields, and lets pydantic validate the results."""

    def __init__(self, model: Any, make_reader: MakeReader) -> None:
        self._model = model
        self._make_reader = make_reader

    def read(self, node: Node, path: str, faults: list[str]) -> Any:
        """Return an instance; see `Reader`."""
        if not node.children and node.value == "":
            return ABSENT
        before = len(faults)
        if _is_root(self._model):
            inner = self._make_reader(self._model.model_fields["root"].annotation)
            prepared = inner(node, path, faults)
        else:
            prepared = self._fields(node, path, faults)
        return _validated(self._model, prepared, path, faults) if len(faults) == before else None

    def _fields(self, node: Node, path: str, faults: list[str]) -> dict[str, Any]:
        section = section_of(node)
        if section is None:
            fault(faults, path, "is not a section")
            return {}
        found: dict[str, Any] = {}
        seen: set[int] = set()
        missing: list[str] = []
        before = len(faults)
        for one in _fields_of(self._model):
            option, child = one.find(section)
            if option is None or child is None:
                if one.required:
                    fault(missing, below(path, one.name), "is missing")
                continue
            seen.add(id(child))
            value = one.reader(option, self._make_reader)(child, child_path(path, child), faults)
            if value is not ABSENT:
                found[option.taken] = value
            elif one.required:
                fault(missing, child_path(path, child), "is empty")
        if len(faults) > before:
            faults += missing  # otherwise pydantic reports them, unless a validator fills them
        return found | _others(self._model, section, seen)


def _others(model: Any, section: Node, seen: set[int]) -> dict[str, Any]:
    """Return the properties without a field, if the model allows or forbids them."""
    if model.model_config.get("extra") not in {"allow", "forbid"}:
        return {}
    others = (child for child in section.children.values() if id(child) not in seen)
    return {child.name: plain(child) for child in others}


def _validated(model: Any, prepared: object, path: str, faults: list[str]) -> Any:
    try:
        return model.model_validate(prepared)
    except MISMATCH as error:  # includes pydantic's ValidationError, which shows values
        listed = getattr(error, "errors", None)
        if listed is None:
            return fault(faults, path, f"is rejected by {model.__name__}")
        for row in listed(include_input=False, include_url=False, include_context=False):
            place = _place(row["loc"])
            fault(faults, below(path, place) if place else path, _reason(row))
    return None


def _place(location: tuple[object, ...]) -> str:
    text = "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in location)
    return text.removeprefix(".")


def _reason(row: Mapping[str, Any]) -> str:
    if row["type"] in _OWN_TEXT:
        return "is rejected by the model"
    return "is missing" if row["type"] == "missing" else f"is not valid: {row['msg']}"
