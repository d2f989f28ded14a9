"""The keys of an access file, as its JSON schema describes them."""

from typing import Final

from pyfly.config_core import JsonValue
from pyfly.config_server.access.identities import IDENTITY
from pyfly.config_server.access.issuers import ISSUER_KEYS, ISSUER_NAME, SUBJECT_KEYS
from pyfly.config_server.access.rights import Right

__all__ = [
    "FILE_KEYS",
    "PRINCIPAL_KEYS",
    "PRINCIPAL_NAME",
    "RULE_KEYS",
    "SHA256",
    "TOKEN_ID",
    "TOKEN_KEYS",
]

PRINCIPAL_NAME: Final = "[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}"
TOKEN_ID: Final = "[A-Za-z0-9_-]{1,32}"  # noqa: S105 - a form, not a secret
SHA256: Final = "[0-9a-fA-F]{64}"

_MOMENT: Final[dict[str, JsonValue]] = {"type": "string", "format": "date-time"}
TOKEN_KEYS: Final[dict[str, JsonValue]] = {
    "id": {
        "description": "names the token where it is listed and revoked",
        "type": "string",
        "pattern": f"^{TOKEN_ID}$",
    },
    "sha256": {
        "description": "the SHA-256 of the token in hexadecimal digits",
        "type": "string",
        "pattern": f"^{SHA256}$",
    },
    "created": {"description": "when the token was made", **_MOMENT},
    "expires": {"description": "when the token ends; without it, it never ends", **_MOMENT},
}
RULE_KEYS: Final[dict[str, JsonValue]] = {
    "rights": {
        "description": "the rights that the rule gives",
        "type": "array",
        "minItems": 1,
        "items": {"enum": [right.value for right in Right]},
    },
    "on": {
        "description": (
            "the bundles: `application/profile/label`, in which `*` stands for any text; `*/*/*` "
            "for rights on the whole server"
        ),
        "type": "string",
    },
    "files": {
        "description": "the paths for the right `files`, below the label, such as `orders/**`",
        "type": "string",
    },
}
PRINCIPAL_KEYS: Final[dict[str, JsonValue]] = {
    "active": {
        "description": "`false` refuses the principal, which keeps its rules and its tokens",
        "type": "boolean",
        "default": True,
    },
    "expires": {"description": "when the principal ends; without it, it never ends", **_MOMENT},
    "rules": {
        "description": "what the principal may do; without a rule, nothing",
        "type": "array",
        "items": {
            "type": "object",
            "additionalProperties": False,
            "required": ["rights", "on"],
            "properties": RULE_KEYS,
        },
    },
    "identities": {
        "description": (
            "the values of the identity header of a trusted proxy, such as subjects of "
            "certificates, that sign in as the principal; each of them is enough"
        ),
        "type": "array",
        "items": IDENTITY,
    },
    "subjects": {
        "description": "whose JSON Web Tokens sign in as the principal; each of them is enough",
        "type": "array",
        "items": {
            "type": "object",
            "additionalProperties": False,
            "required": [*SUBJECT_KEYS],
            "properties": SUBJECT_KEYS,
        },
    },
    "tokens": {
        "description": "the tokens by which the principal signs in; each of them is enough",
        "type": "array",
        "items": {
            "type": "object",
            "additionalProperties": False,
            "required": ["id", "sha256"],
            "properties": TOKEN_KEYS,
        },
    },
}
FILE_KEYS: Final[dict[str, JsonValue]] = {
    "principals": {
        "description": "the principals by name",
        "type": "object",
        "propertyNames": {"pattern": f"^{PRINCIPAL_NAME}$"},
        "additionalProperties": {
            "type": "object",
            "additionalProperties": False,
            "properties": PRINCIPAL_KEYS,
        },
    },
    "issuers": {
        "description": "the issuers of JSON Web Tokens by name",
        "type": "object",
        "propertyNames": {"pattern": f"^{ISSUER_NAME}$"},
        "additionalProperties": {
            "type": "object",
            "additionalProperties": False,
            "required": ["issuer", "audiences"],
            "oneOf": [{"required": ["keys-file"]}, {"required": ["keys-url"]}],
            "dependentRequired": {"ca-file": ["keys-url"], "token-file": ["keys-url"]},
            "properties": ISSUER_KEYS,
        },
    },
}
