"""The sources of settings: the environment, and one TOML file of lower precedence."""

import os
import re
import shlex
import stat
import tomllib
from collections.abc import Callable, Mapping
from math import isinf
from pathlib import Path
from typing import Final

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from pyfly.config_cli._errors import SettingsError
from pyfly.config_cli._settings.names import (
    PREFIX,
    check_known,
    fields_with_files,
    key_of,
    settings_of,
    variable_of,
)
from pyfly.config_cli._settings.secret_files import is_file_name, read_secret_file
from pyfly.config_cli._utf8 import as_utf8
from pyfly.config_core.service_links import is_service_link

_MAX_BYTES: Final = 1_048_576
_PASSWORD_IN_URL: Final = re.compile(r"://[^\s/@]*:[^\s@]*@")


class NamedSource(PydanticBaseSettingsSource):
    """Values of settings, with their names as the user wrote them."""

    def __init__(
        self,
        settings_cls: type[BaseSettings],
        values: Mapping[str, object],
        *,
        spelling: Callable[[str], str],
        place: str,
    ) -> None:
        """Take the values, and read those that stand in files of their own.

        Args:
            settings_cls: The model.
            values: By the name of the field, or of the setting that names a file.
            spelling: Returns how the name of a field is written in this source.
            place: Says what the source is: the beginning of every message about it.

        Raises:
            SettingsError: A file cannot be used, or a secret is the name of a file.
        """
        super().__init__(settings_cls)
        self._spelling = spelling
        self._place = place
        self._written = {name: name for name in values}
        self._values = self._with_files(values)

    def __call__(self) -> dict[str, object]:
        """Return the values by the names of the fields."""
        return {**self._values}

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[object, str, bool]:
        """Return the value of one field."""
        del field
        return self._values.get(field_name), field_name, False

    def where(self, field: str) -> str | None:
        """Return the place of a setting as the user knows it; `None` if it is not set here."""
        if field not in self._values:
            return None
        return f"{self._place}{self._spelling(self._written.get(field, field + '_file'))}"

    def _with_files(self, values: Mapping[str, object]) -> dict[str, object]:
        files = fields_with_files(self.settings_cls)
        result = {name: value for name, value in values.items() if name not in files}
        for name, setting in settings_of(self.settings_cls).items():
            value = result.get(name)
            if setting.is_secret and isinstance(value, str) and is_file_name(name, value):
                raise SettingsError(
                    f"{self._place}{self._spelling(name)} is the name of a file; to use what the "
                    f"file holds, set {self._spelling(name + '_file')} instead"
                )
        for name in values.keys() & files.keys():
            written, target = self._spelling(name), files[name]
            if target in result:
                raise SettingsError(
                    f"{self._place}set either {self._spelling(target)} or {written}, not both"
                )
            path = values[name]
            if not isinstance(path, str) or not path:
                raise SettingsError(f"{self._place}{written} must be the name of a file")
            result[target] = read_secret_file(Path(path), setting=f"{self._place}{written}")
        return result


class EnvironmentSource(NamedSource):
    """Settings in environment variables; those that Kubernetes injects for services are ignored.

    Raises:
        SettingsError: A variable with the prefix is no setting, or is not UTF-8.
    """

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        super().__init__(
            settings_cls,
            _read_environment(settings_cls),
            spelling=variable_of,
            place="",
        )


class SettingsFileSource(NamedSource):
    """Settings in a TOML file. Its keys are written in lower case with dashes.

    Raises:
        SettingsError: The file cannot be read, has an unknown key, or holds a secret that other
            users of the machine may read.
    """

    def __init__(self, settings_cls: type[BaseSettings], file: object) -> None:
        path = Path(str(file)) if file else None
        super().__init__(
            settings_cls,
            {} if path is None else _read_file(settings_cls, path),
            spelling=lambda field: repr(key_of(field)),
            place=f"{str(path)!r}: ",
        )


def _read_environment(model: type[BaseSettings]) -> dict[str, object]:
    given = {
        name.removeprefix(PREFIX): value
        for name, value in os.environ.items()
        if name.startswith(PREFIX)
    }
    known = {name.upper(): name for name in [*model.model_fields, *fields_with_files(model)]}
    values: dict[str, object] = {}
    for name, value in given.items():
        if is_service_link(name, value):
            continue
        check_known(name, known, prefix=PREFIX)
        if (text := as_utf8(value)) is None:
            raise SettingsError(f"{PREFIX}{name} is not UTF-8")
        values[known[name]] = text
    return values


def _read_file(model: type[BaseSettings], path: Path) -> dict[str, object]:
    document, mode = _parse_file(path)
    in_file = [name for name, setting in settings_of(model).items() if setting.in_settings_file]
    known = {key_of(name): name for name in [*in_file, *fields_with_files(model)]}
    for key in document:
        check_known(key, known, where=f"{str(path)!r}: ")
    values = {known[key]: value for key, value in document.items()}
    if mode & stat.S_IRWXO and _has_secret(model, values):
        raise SettingsError(
            f"{str(path)!r} holds a secret and is open to every user of this machine; "
            f"close it with: chmod o= {shlex.quote(str(path))}"
        )
    return values


def _number(text: str) -> float:
    number = float(text)
    if isinf(number) and "inf" not in text:
        raise ValueError("a number is beyond 1.8e308; write it as a text, in quotes")
    return number


def _parse_file(path: Path) -> tuple[dict[str, object], int]:
    """Return what a TOML file holds, and its mode."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise SettingsError(f"{str(path)!r} is larger than {_MAX_BYTES:,} bytes")
        return tomllib.loads(data.decode("utf-8-sig"), parse_float=_number), mode
    except OSError as error:
        raise SettingsError(f"cannot read {str(path)!r}: {error.strerror}") from error
    except UnicodeDecodeError:  # not chained: it holds the bytes
        raise SettingsError(f"{str(path)!r} is not UTF-8") from None
    except ValueError as error:  # broken TOML
        raise SettingsError(f"{str(path)!r}: {error}") from error
    except RecursionError:
        raise SettingsError(f"{str(path)!r} is nested too deeply") from None


def _has_secret(model: type[BaseSettings], values: Mapping[str, object]) -> bool:
    settings = settings_of(model)
    if any(name in settings and settings[name].is_secret for name in values):
        return True
    urls = f"{values.get('backend', '')} {values.get('store', '')}"
    return _PASSWORD_IN_URL.search(urls) is not None
