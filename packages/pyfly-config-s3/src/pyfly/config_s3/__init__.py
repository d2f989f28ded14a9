"""Configuration in an S3 bucket, as text files that every S3 tool can read and edit."""

from pyfly.config_s3._backend import S3ConfigBackend
from pyfly.config_s3._url import S3Location

__all__ = ["S3ConfigBackend", "S3Location"]
