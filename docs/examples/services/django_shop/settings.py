"""Settings of Django. It reads them once, so a change of these needs a restart."""

from django_shop.configuration import properties

SECRET_KEY = properties["django.secret-key"]
DEBUG = properties.get("django.debug", bool, default=False)
ALLOWED_HOSTS = properties.get("django.allowed-hosts", list[str])
ROOT_URLCONF = "django_shop.urls"
