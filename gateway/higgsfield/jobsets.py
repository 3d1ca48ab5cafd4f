"""Parses job sets, the responses of the v1 API, tolerantly. Each job is one output.

A job set has no status. Its jobs end separately, and it ends when all of them have ended.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from gateway.frozen import frozen
from gateway.generations.model import MediaKind, Output, RequestId, State, StatusReport
from gateway.higgsfield.json_values import Path, clean_and_bound, parse_object, without
from gateway.higgsfield.payloads import STATES, failure_of, is_link, uuid_of
from gateway.higgsfield.redact import redacted

MAX_JOBS = 100
"""The most jobs that are read. No batch has more than four."""
MAX_ID_LENGTH = 100
_KINDS = {"image": MediaKind.IMAGE, "video": MediaKind.VIDEO, "audio": MediaKind.AUDIO}


@frozen
class _Job:
    """A job. `state` is None if its status is unknown to the gateway.

    `unread`: it has completed, but no file was found in its results. `taken` are the paths in it of the values that
    `output` has; `error_name` is the member that has the text `error`.
    """

    status: str
    state: State | None
    output: Output
    unread: bool
    taken: tuple[Path, ...]
    error_name: str
    error: str


def read_job_set(text: bytes, correlation_id: str, secrets: tuple[str, ...]) -> StatusReport | None:
    """Parse a job set, and remove the secrets from its texts; None if the body is not a job set."""
    content = parse_object(text)
    name = uuid_of(content.get("id"))
    if name is None:
        return None
    listed = content.get("jobs")
    found = listed[:MAX_JOBS] if isinstance(listed, list) else []
    jobs = [_job(name, job, content.get("type"), secrets) for name, job in _by_id(found).items()]
    state = _state(jobs)
    ended = state is not None and state.ended
    used_input = content.pop("input_params") if isinstance(content.get("input_params"), dict) else None
    blamed = next((index for index, job in enumerate(jobs) if job.state is State.FAILED and job.error), None)
    failure = failure_of(state, None if blamed is None else jobs[blamed].error, secrets)
    taken: list[Path] = [("id",)] if name == content["id"] else []
    for index, job in enumerate(jobs):
        if not (ended and job.unread):
            taken += [("jobs", index, *path) for path in job.taken]
        if index == blamed and failure is not None and failure.message == job.error:
            taken.append(("jobs", index, job.error_name))
    try:
        rest = clean_and_bound(without(content, taken), len(text), secrets)
        used_input = clean_and_bound(used_input, len(text), secrets)
    except ValueError:
        return None
    return StatusReport(
        request_id=RequestId(name),
        status=", ".join(dict.fromkeys(job.status for job in jobs))[:100],
        state=state,
        outputs=tuple(job.output for job in jobs if not (ended and job.unread)),
        failure=failure,
        other_results=rest,
        response=lambda: clean_and_bound(content, len(text), secrets),
        used_input=used_input,
        correlation_id=correlation_id,
        has_unknown_job=any(job.state is None for job in jobs),
    )


def read_job_set_id(body: bytes, known: str) -> str | None:
    """Return the id of the job set that a webhook names, or `known` if it names none; None if both are missing.

    The body is a job set, as users note, which is also found nested in another object.
    """
    content = parse_object(body, numbers=False)
    for part in _objects(content):
        if isinstance(part.get("jobs"), list) and (name := uuid_of(part.get("id"))):
            return name
        if name := uuid_of(part.get("job_set_id")):
            return name
    return known or uuid_of(content.get("id")) or uuid_of(content.get("request_id"))


def _state(jobs: Sequence[_Job]) -> State | None:
    """Return the state of the set: an end if all jobs have ended. None if none has started and a status is unknown."""
    states = [job.state for job in jobs]
    known = {state for state in states if state is not None}
    if None in states or not states or not all(state.ended for state in known):
        moved = known - {State.QUEUED}
        unknown = None in states or not states
        return State.IN_PROGRESS if moved else None if unknown else State.QUEUED
    for end in (State.COMPLETED, State.NSFW):
        if end in known:
            return end
    return State.CANCELED if known == {State.CANCELED} else State.FAILED


def _by_id(jobs: Sequence[object]) -> dict[str, object]:
    """Return the jobs by id, or by index if the id is missing or a duplicate."""
    named: dict[str, object] = {}
    for number, job in enumerate(jobs):
        job_id = job.get("id") if isinstance(job, dict) else None
        usable = (
            isinstance(job_id, str)
            and 0 < len(job_id) <= MAX_ID_LENGTH
            and job_id.isprintable()
            and job_id not in named
        )
        named[job_id if isinstance(job_id, str) and usable else f"#{number}"] = job
    return named


def _job(name: str, job: object, set_type: object, secrets: tuple[str, ...]) -> _Job:
    content = job if isinstance(job, dict) else {}
    reported = content.get("status")
    word = reported if isinstance(reported, str) else ""
    state = STATES.get(word.lower())
    status = word if state is not None else redacted(word, secrets)[:40] or "unknown"
    results = content.get("results")
    raw, preview = (_file(results, file) for file in ("raw", "min"))
    file = raw or preview
    kind = _kind(file, content.get("job_set_type"), set_type)
    there = state is State.COMPLETED and file is not None
    output = Output(
        state=state if state is not None and (there or state is not State.COMPLETED) else State.IN_PROGRESS,
        kind=kind,
        url=file["url"] if there and file else "",
        preview_url=preview["url"] if there and preview else "",
        name=kind.name.lower() if kind is not MediaKind.UNKNOWN else "",
        job=name,
    )
    error_name = next((key for key in ("error", "fail_reason") if isinstance(content.get(key), str)), "")
    return _Job(
        status,
        state,
        output,
        unread=state is State.COMPLETED and file is None,
        taken=tuple(_taken(content, output)),
        error_name=error_name,
        error=content[error_name] if error_name else "",
    )


def _taken(content: dict[str, Any], output: Output) -> Iterator[Path]:
    """Yield the paths in a job of the values that its output has exactly; none if its id does not identify it."""
    if not output.job_id or content.get("id") != output.job:
        return
    yield ("id",)
    if content.get("status") == output.state.name.lower():
        yield ("status",)
    for name, url in (("raw", output.url), ("min", output.preview_url)):
        file = _file(content.get("results"), name) if url else None
        if file is not None and file["url"] == url:
            yield ("results", name, "url")
            if file.get("type") == output.kind.name.lower():
                yield ("results", name, "type")


def _file(results: object, name: str) -> dict[str, Any] | None:
    found = results.get(name) if isinstance(results, dict) else None
    return found if isinstance(found, dict) and is_link(found.get("url")) else None


def _kind(file: dict[str, Any] | None, *types: object) -> MediaKind:
    """Return the kind of output by the file's type, or before there is a file by the job's type (`image2video`)."""
    stated = file.get("type") if file is not None else None
    if isinstance(stated, str) and stated:
        return _KINDS.get(stated.lower(), MediaKind.FILE)
    made = [type_.rpartition("2")[2] for type_ in types if isinstance(type_, str)]
    return next((kind for word in made for name, kind in _KINDS.items() if word.startswith(name)), MediaKind.UNKNOWN)


def _objects(content: object, depth: int = 3) -> list[dict[str, Any]]:
    """Return nested objects, outer ones first. Lists are skipped, because the id of a job is not that of its set."""
    if not isinstance(content, dict) or not depth:
        return []
    return [content, *(part for value in content.values() for part in _objects(value, depth - 1))]
