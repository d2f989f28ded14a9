"""A store of configuration, opened by URLs such as `template:///var/lib/template.db`."""

from pyfly_config_template._backend import TemplateConfigBackend

__all__ = ["TemplateConfigBackend"]
