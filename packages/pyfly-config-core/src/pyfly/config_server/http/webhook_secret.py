"""`WebhookSecret`: the secret that a provider of repositories shares with the server."""

import base64
import hashlib
import hmac
from typing import Final

from pyfly.config_server.http.messages import HttpRequest

__all__ = ["WebhookSecret"]

_HEX_PREFIX: Final = b"sha256="
_SIGNATURES: Final = {
    b"x-hub-signature-256": _HEX_PREFIX,
    b"x-hub-signature": _HEX_PREFIX,
    b"x-gitea-signature": b"",
    b"x-gogs-signature": b"",
}
"""The headers with a signature in hexadecimal digits, and what stands before the digits."""
_GITLAB: Final = b"x-gitlab-token"
_GITEE: Final = b"x-gitee-token"
_GITEE_TIME: Final = b"x-gitee-timestamp"


class WebhookSecret:
    """Accepts webhooks that were signed with a secret, or that carry it.

    | header | sent by | content |
    |---|---|---|
    | `X-Hub-Signature-256` | GitHub, Gitea | `sha256=` and the signature |
    | `X-Hub-Signature` | Bitbucket Cloud, Bitbucket Data Center | `sha256=` and the signature |
    | `X-Gitea-Signature` | Gitea | the signature |
    | `X-Gogs-Signature` | Gogs, Gitea | the signature |
    | `X-Gitlab-Token` | GitLab | the secret |
    | `X-Gitee-Token` | Gitee | the secret, or a digest of it and of `X-Gitee-Timestamp` |

    The signature is HMAC-SHA256 of the body as sent, in hexadecimal digits. One right header is
    enough, because only the holder of the secret can make it. Signatures with SHA-1 are not
    accepted. Comparisons take constant time. The rules are those of

    * https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
    * https://docs.gitlab.com/user/project/integrations/webhooks/
    * https://docs.gitea.com/usage/webhooks
    * https://gogs.io/docs/features/webhook
    * https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/
    * https://confluence.atlassian.com/bitbucketserver/manage-webhooks-938025878.html
    * https://gitee.com/help/articles/4290

    Args:
        secret: The secret, as it is entered at the provider.

    Raises:
        ValueError: The secret is empty, or contains white space at an end or control characters,
            which a header cannot hold.
    """

    def __init__(self, secret: str) -> None:
        if not secret or not secret.isprintable() or secret != secret.strip():
            raise ValueError("give a secret without control characters and white space at its ends")
        self._secret = secret.encode()

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    @staticmethod
    def is_claimed(request: HttpRequest) -> bool:
        """True if a request has a header that `admits` looks at, right or wrong."""
        names = {name.lower() for name, _ in request.headers}
        return not names.isdisjoint({*_SIGNATURES, _GITLAB, _GITEE})

    def admits(self, request: HttpRequest, body: bytes) -> bool:
        """True if the sender of a request knows the secret.

        Args:
            request: The request.
            body: Its body, as sent.
        """
        digits = self._digest(body).hex().encode()
        expected = {name: prefix + digits for name, prefix in _SIGNATURES.items()}
        expected[_GITLAB] = self._secret
        moment = request.header(_GITEE_TIME)
        expected[_GITEE] = self._secret if moment is None else self._gitee(moment)
        # every header is looked at, so that the time does not tell which of them was right
        results = [
            _is_equal(request.header(name) or b"", value) for name, value in expected.items()
        ]
        return any(results)

    def _digest(self, text: bytes) -> bytes:
        return hmac.digest(self._secret, text, "sha256")

    def _gitee(self, moment: bytes) -> bytes:
        """Return the token of Gitee for a time in milliseconds, whatever that is.

        The age is not checked: a request that is sent again has no effect but one more fetch.
        """
        return base64.b64encode(self._digest(moment + b"\n" + self._secret))


def _is_equal(given: bytes, expected: bytes) -> bool:
    """True if two texts are equal. The time depends on the length of the given text only."""
    return hmac.compare_digest(hashlib.sha256(given).digest(), hashlib.sha256(expected).digest())
