"""One round: every server is asked once."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from pyfly.config_client._loading.accept import Job, accept, validate, waited
from pyfly.config_client._loading.answer import Answer
from pyfly.config_client._loading.effects import Plan, Send, Work
from pyfly.config_client._loading.loaded import Loaded
from pyfly.config_client._loading.request import ConfigRequest
from pyfly.config_client._loading.retry import Verdict, judge, retry_after
from pyfly.config_client.errors import ConfigClientError, ServerUnreachableError

_NOT_MODIFIED: Final = 304


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Known:
    """What a watcher has, which the server need not send again."""

    loaded: Loaded
    wait: float
    """Seconds that the server may hold the request."""

    def condition(self, request: ConfigRequest) -> dict[str, str]:
        """Return the headers that make a request conditional; none where it cannot be."""
        etag = self.loaded.snapshot.etag
        if etag is None or self.loaded.snapshot.url != request.url:
            return {}
        return {"If-None-Match": etag, "Prefer": f"wait={self.wait:.0f}"}


def ask_round(
    job: Job,
    requests: tuple[ConfigRequest, ...],
    deadline: float,
    tried: Counter[str],
    known: Known | None = None,
) -> Plan[Loaded | ConfigClientError]:
    """Ask every server once, in order; return the first good answer or what the round means."""
    failures: dict[Verdict, ConfigClientError] = {}
    for position, request in enumerate(requests):
        left = max((deadline - time.monotonic()) / (len(requests) - position), 0.001)
        condition = {} if known is None else known.condition(request)
        wait = known.wait if known is not None and condition else 0.0
        send = Send(request=request, timeout=left + wait, headers=condition)
        until = time.monotonic() + send.timeout
        yield send
        try:
            if known is not None and condition and _is_current(send.result):
                same = known.loaded.properties.confirmed(request.url)
                snapshot = replace(known.loaded.snapshot, saved_at=time.time())
                return Loaded(properties=same, snapshot=snapshot, waited=waited(send.result))
            return (yield from _accept(job, request, send.result, until))
        except ConfigClientError as error:
            tried[str(error)] += 1
            failures[judge(error)] = error
            if isinstance(send.result, Answer):
                error.retry_after = retry_after(send.result.headers)
            if job.strategy != "always" and not isinstance(error, ServerUnreachableError):
                break
    order: tuple[Verdict, ...] = ("unknown", "refused", "later", "broken", "odd")
    return next(failures[verdict] for verdict in order if verdict in failures)


def _accept(
    job: Job, request: ConfigRequest, result: Answer | ConfigClientError | None, until: float
) -> Plan[Loaded]:
    size = len(result.body) if isinstance(result, Answer) else 0
    work = partial(accept, job, request, result, until)
    return validate(job, (yield from compute(work, size)))


def compute(run: Callable[[], Loaded], size: int) -> Plan[Loaded]:
    """Let a shell do work; it knows which thread may wait.

    Raises:
        ConfigClientError: As `run`.
    """
    effect = Work(run=run, size=size)
    yield effect
    if not isinstance(effect.result, Loaded):
        raise effect.result or ConfigClientError("the work was not done")
    return effect.result


def _is_current(result: Answer | ConfigClientError | None) -> bool:
    return isinstance(result, Answer) and result.status == _NOT_MODIFIED
