"""A store of configuration, opened by URLs that begin with `template:`."""

from pyfly_config_template._backend import TemplateConfigBackend

__all__ = ["TemplateConfigBackend"]
