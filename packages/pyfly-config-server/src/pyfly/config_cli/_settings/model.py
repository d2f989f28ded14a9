"""The settings of the server. A new setting is one field of `ServerSettings`."""

from typing import Annotated, Final

from pydantic import Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from pyfly.config_cli._settings.fields import (
    Address,
    Algorithm,
    Count,
    GuardFile,
    Lines,
    LogFormat,
    LogLevel,
    Names,
    Number,
    OnBroken,
    Port,
    Seconds,
    Secret,
    Secrets,
    Setting,
    Switch,
    Text,
    TlsVersionName,
    Tree,
)
from pyfly.config_cli._settings.names import PREFIX
from pyfly.config_cli._settings.sources import EnvironmentSource, SettingsFileSource
from pyfly.config_cli._settings.store_tables import Stores
from pyfly.config_core import DEFAULT_LABEL, DEFAULT_PROFILE, SHARED_APPLICATION

_SALT: Final = "deadbeef"


class ServerSettings(BaseSettings):
    """All settings of a server.

    An argument of the constructor wins over the environment, the environment over the settings
    file, the file over the defaults. Secrets are not shown by `repr` and `model_dump`.

    Raises:
        pydantic.ValidationError: A value cannot be used. `load_settings` explains it, and refuses
            values that do not go together.
        SettingsError: A name is unknown, or the settings file cannot be used.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        validate_default=False,
    )

    backend: Annotated[
        Lines, Setting(argument="DIRECTORY-OR-URL ...", spring="composite", has_file=True)
    ] = Field(
        default=(),
        repr=False,
        description=(
            "directories or URLs to serve, such as `file:///etc/pyfly`, one in a line (in the file "
            "a list), the first of highest precedence"
        ),
    )
    store: Annotated[Stores, Setting(spring="git.repos.*", has_file=True)] = Field(
        default=(),
        repr=False,
        description=(
            "instead of `backend`: stores by pattern, in the file tables `[[store]]` with `url` "
            "and `applications`, of which the first match serves a request and the last one, "
            "without `applications`, every other; elsewhere a JSON or YAML list"
        ),
    )
    host: Annotated[Text, Setting(argument="--host")] = Field(
        default="127.0.0.1", description="address to listen on"
    )
    port: Annotated[Port, Setting(argument="--port")] = Field(
        default=8888, description="port to listen on"
    )
    base_path: Annotated[Text, Setting(argument="--base-path", spring="prefix")] = Field(
        default="/config", description="where the routes are mounted; empty for the root"
    )
    workers: Annotated[Count, Setting(argument="--workers")] = Field(
        default=1, description="number of processes"
    )
    tls_certificate_file: Annotated[
        GuardFile, Setting(argument="--tls-certificate-file", spring="server.ssl.certificate")
    ] = Field(
        default="",
        description=(
            "certificate in PEM format, with those between it and its authority; with it the "
            "server speaks HTTPS only"
        ),
    )
    tls_key_file: Annotated[
        Text, Setting(argument="--tls-key-file", spring="server.ssl.certificate-private-key")
    ] = Field(
        default="",
        description=(
            "private key of the certificate in PEM format, not encrypted; by default in the file "
            "of the certificate"
        ),
    )
    tls_client_ca_file: Annotated[GuardFile, Setting(spring="server.ssl.trust-certificate")] = (
        Field(
            default="",
            description=(
                "authorities in PEM format: only clients with a certificate of one of them may "
                "connect; they need the credential, too"
            ),
        )
    )
    tls_min_version: Annotated[TlsVersionName, Setting()] = Field(
        default="1.2", description="lowest version of TLS: `1.2` or `1.3`"
    )
    standby: Annotated[Text, Setting()] = Field(
        default="",
        description=(
            "directory that keeps what the stores returned, so that a server that starts while a "
            "store is away can serve it; secrets that are clear in a store are clear there, too"
        ),
    )
    default_label: Annotated[Text, Setting(spring="<backend>.default-label")] = Field(
        default=DEFAULT_LABEL, description="label of requests without a label"
    )
    default_application_name: Annotated[Text, Setting(spring="default-application-name")] = Field(
        default=SHARED_APPLICATION, description="application whose bundles every application gets"
    )
    default_profile: Annotated[Text, Setting(spring="default-profile")] = Field(
        default=DEFAULT_PROFILE, description="profile whose bundles every profile gets"
    )
    overrides: Annotated[Tree, Setting(spring="overrides.*")] = Field(
        default_factory=dict,
        repr=False,
        description=(
            "properties that outrank everything stored: a JSON or YAML mapping, in the file a table"
        ),
    )
    accept_empty: Annotated[Switch, Setting(spring="accept-empty")] = Field(
        default=True, description="`false`: 404 when nothing is stored for an application"
    )
    fail_on_composite_error: Annotated[Switch, Setting(spring="fail-on-composite-error")] = Field(
        default=True, description="`false`: of several stores, leave out one that fails"
    )
    continue_on_label_failure: Annotated[
        Switch, Setting(spring="<backend>.continue-on-multiple-label-failure")
    ] = Field(default=False, description="`true`: of several labels, leave out unknown ones")
    strip_document_from_yaml: Annotated[Switch, Setting(spring="strip-document-from-yaml")] = Field(
        default=True,
        description=(
            "`false`: the flattened YAML of a list or a single value keeps its key `document`"
        ),
    )
    reverse_location_order: Annotated[Switch, Setting(spring="reverse-location-order")] = Field(
        default=False,
        description="`true`: look for plain files from the lowest store and first label on",
    )
    version: Annotated[Text, Setting(spring="native.version")] = Field(
        default="",
        description=("`version` of documents of a single store without versions, such as a commit"),
    )
    live: Annotated[Switch, Setting()] = Field(
        default=True,
        description=(
            "`false`: read the stores for every request, instead of answering from memory and "
            "following their changes"
        ),
    )
    max_staleness: Annotated[Seconds, Setting()] = Field(
        default=None,
        description=(
            "how old an answer may be while its stores can be reached, in seconds; by default 1, "
            "for S3 10"
        ),
    )
    cache_megabytes: Annotated[Number, Setting()] = Field(
        default=64, description="memory of each process for answers"
    )
    max_watchers: Annotated[Number, Setting()] = Field(
        default=10_000,
        description="requests that each process holds until a document changes; more get 503",
    )
    on_broken: Annotated[OnBroken, Setting()] = Field(
        default="stale",
        description=(
            "for a document with a file that no longer parses: `stale`, the last good answer with "
            "`X-Config-Stale`, or `fail`, status 500 as a Spring server"
        ),
    )
    secret_keys: Annotated[Names, Setting(in_settings_file=False)] = Field(
        default=(),
        description=(
            "further keys whose values the commands mask on a terminal, such as `pin`: names at "
            "the end of keys, or regular expressions, with commas"
        ),
    )
    encrypt_enabled: Annotated[Switch, Setting(spring="encrypt.enabled")] = Field(
        default=True, description="`false`: leave the decryption of `{cipher}` values to clients"
    )
    encrypt_plain_text: Annotated[Switch, Setting(spring="encrypt.plain-text-encrypt")] = Field(
        default=False,
        description="`true`: decrypt `{cipher}` values in plain JSON, YAML and properties files",
    )
    encrypt_prefix_invalid_properties: Annotated[
        Switch, Setting(spring="encrypt.prefix-invalid-properties")
    ] = Field(
        default=True,
        description=(
            "`false`: a value that cannot be decrypted keeps its key, instead of `invalid.<key>`"
        ),
    )
    decrypt_endpoint: Annotated[Switch, Setting()] = Field(
        default=False, description="`true`: answer `/decrypt` to every client that may read"
    )
    encrypt_key: Annotated[Secret, Setting(spring="encrypt.key", is_secret=True)] = Field(
        default=None, description="key that encrypts and decrypts: a password, or an RSA key as PEM"
    )
    encrypt_keys: Annotated[Secrets, Setting(is_secret=True)] = Field(
        default_factory=dict,
        description=(
            "further keys by the names that `{key:NAME}` uses: a JSON or YAML mapping, in the file "
            "a table"
        ),
    )
    encrypt_bound_keys: Annotated[Secrets, Setting(is_secret=True)] = Field(
        default_factory=dict,
        description=(
            "keys for cipher texts that are bound to an application and a key: ids and 32 bytes in "
            "base64, a JSON or YAML mapping, in the file a table; the first one encrypts"
        ),
    )
    encrypt_salt: Annotated[Text, Setting(spring="encrypt.salt")] = Field(
        default=_SALT, description="salt of passwords, in hexadecimal digits"
    )
    encrypt_key_store_location: Annotated[Text, Setting(spring="encrypt.key-store.location")] = (
        Field(default="", description="PKCS#12 file with RSA keys, instead of a key")
    )
    encrypt_key_store_type: Annotated[Text, Setting(spring="encrypt.key-store.type")] = Field(
        default="pkcs12", description="its type; no other type is read"
    )
    encrypt_key_store_password: Annotated[
        Secret, Setting(spring="encrypt.key-store.password", is_secret=True)
    ] = Field(default=None, description="password of the key store")
    encrypt_key_store_alias: Annotated[Text, Setting(spring="encrypt.key-store.alias")] = Field(
        default="", description="the key for texts without `{key:NAME}`"
    )
    encrypt_key_store_secret: Annotated[
        Secret, Setting(spring="encrypt.key-store.secret", is_secret=True)
    ] = Field(default=None, description="password of its keys, if it is not that of the store")
    encrypt_rsa_algorithm: Annotated[Algorithm, Setting(spring="encrypt.rsa.algorithm")] = Field(
        default="DEFAULT", description="for the key store: `DEFAULT` or `OAEP`"
    )
    encrypt_rsa_strong: Annotated[Switch, Setting(spring="encrypt.rsa.strong")] = Field(
        default=False,
        description="for the key store: `true` encrypts with AES-GCM instead of AES-CBC",
    )
    encrypt_rsa_salt: Annotated[Text, Setting(spring="encrypt.rsa.salt")] = Field(
        default=_SALT, description="for the key store: salt of the passwords inside of cipher texts"
    )
    health_enabled: Annotated[Switch, Setting(spring="health.enabled")] = Field(
        default=True, description="`false`: `/actuator/health` does not look at the stores"
    )
    health_repositories: Annotated[Tree, Setting(spring="health.repositories.*")] = Field(
        default_factory=dict,
        description=(
            "what `/actuator/health` fetches: a mapping of any names to `name`, `profiles`, "
            "`label`; in the file a table. Without it the application `app`"
        ),
    )
    health_down_status: Annotated[Text, Setting(spring="health.down-health-status")] = Field(
        default="DOWN", description="what `/actuator/health` says when one of them fails"
    )
    metrics: Annotated[Switch, Setting()] = Field(
        default=False,
        description="`true`: answer `/metrics` to clients that may operate the server",
    )
    metrics_listen: Annotated[Address, Setting()] = Field(
        default="",
        description=(
            "second address, such as `127.0.0.1:9100`, that answers `/metrics` to everybody and "
            "nothing else"
        ),
    )
    log_level: Annotated[LogLevel, Setting()] = Field(
        default="info",
        description=(
            "what is logged to standard error: `debug`, `info`, `warning` or `error`; libraries "
            "log warnings and errors only"
        ),
    )
    log_format: Annotated[LogFormat, Setting()] = Field(
        default="text", description="`text`, or `json` for one object in each line"
    )
    access_log: Annotated[Switch, Setting()] = Field(
        default=False, description="`true`: log a line for each request, whatever the level"
    )
    audit_log: Annotated[GuardFile, Setting()] = Field(
        default="",
        description=(
            "file to which writes, denials, refused sign-ins, decryptions and changes of the "
            "access file are appended as JSON lines, or `-` for standard output; when it fails, "
            "writes are refused"
        ),
    )
    audit_reads: Annotated[Switch, Setting()] = Field(
        default=False,
        description=(
            "`true`: record reads, too; nothing is then answered in front of the application"
        ),
    )
    monitor_secret: Annotated[Secret, Setting(is_secret=True)] = Field(
        default=None,
        description="secret with which providers of repositories sign requests to `/monitor`",
    )
    username: Annotated[Secret, Setting(has_file=True)] = Field(
        default=None, description="user name that clients must present, with the password"
    )
    password: Annotated[Secret, Setting(is_secret=True)] = Field(
        default=None, description="password that clients must present, with the user name"
    )
    token: Annotated[Secret, Setting(is_secret=True)] = Field(
        default=None, description="bearer token that clients must present, instead of those two"
    )
    access_file: Annotated[GuardFile, Setting()] = Field(
        default="",
        description=(
            "TOML file of principals with rules and tokens, which `pyfly-config access` writes; a "
            "shared credential beside it still has every right"
        ),
    )
    trusted_proxies: Annotated[Names, Setting()] = Field(
        default=(),
        description=(
            "addresses and networks of proxies, such as `10.0.0.5` or `10.1.0.0/16`, whose "
            "`X-Forwarded-For` is believed, and refused from any other address; separated by "
            "commas, in the file a list"
        ),
    )
    identity_header: Annotated[Text, Setting()] = Field(
        default="",
        description=(
            "header in which `trusted-proxies` name a client that they have identified, such as "
            "`X-Client-Subject`, by one of the `identities` in the access file"
        ),
    )
    allowed_hosts: Annotated[Names, Setting(argument="--allowed-hosts")] = Field(
        default=(),
        description=(
            "names, beside `localhost` and IP addresses, by which clients may call a server "
            "without a credential; separated by commas, in the file a list"
        ),
    )
    insecure: Annotated[Switch, Setting(argument="--insecure")] = Field(
        default=False, description="listen beyond this machine without a credential"
    )
    settings: Annotated[Text, Setting(argument="--settings", in_settings_file=False)] = Field(
        default="", description="the settings file"
    )

    @property
    def store_urls(self) -> tuple[str, ...]:
        """The directories or URLs of all stores."""
        return tuple(one.url for one in self.store) or self.backend

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources, the highest first."""
        del env_settings, dotenv_settings, file_secret_settings
        arguments = init_settings()
        environment = EnvironmentSource(settings_cls)
        file = arguments.get("settings") or environment().get("settings")
        return init_settings, environment, SettingsFileSource(settings_cls, file)
