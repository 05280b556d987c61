"""What happens to a job, as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from anyio import current_time, sleep, to_thread

from ai_engine.api.service import Service
from ai_engine.domain.error_codes import code_of
from ai_engine.domain.errors import JobLostError, StorageError
from ai_engine.domain.jobs import Job, JobEvent
from ai_engine.jobs.shapes import event_shape
from ai_engine.jobs.waiting import LOOK, Follower
from ai_engine.registry.json_views import to_json

# Seconds of silence after which a comment is sent: proxies close what is silent for longer.
SILENCE: Final = 15.0
# Not held back by a proxy, nor kept.
HEADERS: Final = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


async def job_events(service: Service, follower: Follower, silence: float = SILENCE) -> AsyncIterator[str]:
    """Yield the events of a job until it has ended or the server stops; a client then asks once more."""
    told = current_time()
    while True:
        if follower.changed():
            try:
                job, events = await to_thread.run_sync(follower.look)
            except StorageError:
                pass  # a database that is down for a while
            except JobLostError as error:
                yield _lost(error)
                return
            else:
                for event in events:
                    yield _written(event, job)
                    told = current_time()
                if job.status.is_ended:
                    return
        if service.workers.stopping:
            return
        if current_time() - told > silence:
            yield ": nothing new\n\n"
            told = current_time()
        await sleep(LOOK)


def _lost(error: JobLostError) -> str:
    """Return the end of a job that the database knows no more; it has no number, as nothing follows it."""
    told = {
        "job_id": error.job_id,
        "status": "failed",
        "error": {"code": code_of(type(error)), "detail": str(error), "field": None},
    }
    return f"event: failed\ndata: {to_json(told)}\n\n"


def _written(event: JobEvent, job: Job) -> str:
    return f"id: {event.seq}\nevent: {event.kind}\ndata: {to_json(event_shape(event, job))}\n\n"
