"""Write the generated parts of the documents: `python -m tests.docs.update`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from gateway.generations import clock, due_steps, ports, state
from gateway.generations.admission import admission
from gateway.generations.model import State
from gateway.generations.polling import missing
from gateway.higgsfield import client
from gateway.process import core
from gateway.rpc.errors import CODES
from gateway.settings import config
from tests.docs.markdown import ROOT

PROTO = ROOT / "protos" / "hfgateway" / "v1" / "error.proto"
NOT_YET = "not supported yet"


def settings() -> str:
    """Return the table of settings."""
    rows = (
        (f"`{name}`", f"`{default}`" if default else "", allowed, meaning + (" (not yet)" if _refused(name) else ""))
        for name, default, allowed, meaning in config.settings_table()
    )
    return _table(("setting", "default", "allowed", "meaning"), rows)


def reasons() -> str:
    """Return the table of reasons: code, the proto's comment, and whether this version returns it."""
    given = _given()
    rows = []
    for name, text in _comments().items():
        if name == "UNSPECIFIED":
            continue
        code = CODES.get(name)
        meaning = re.sub(r"^\[\w+\] ", "", text)
        rows.append(
            (f"`{name}`", f"`{code.name}`" if code else "", meaning + ("" if name in given else " *Not given yet.*"))
        )
    return _table(("reason", "code", "meaning"), rows)


def times() -> str:
    """Return the table of the times of the submit path, with their names in the code."""
    defaults = config.read_settings({})
    second, third = due_steps.LATER_PAUSES[2], due_steps.LATER_PAUSES[3]
    rows = [
        (_told(state.SEND_TIMEOUT), "`SEND_TIMEOUT`", "from the marker to the first byte; nothing is sent after it"),
        (_told(defaults.upstream_timeout), "`HFGATEWAY_UPSTREAM_TIMEOUT`", "for one POST, in total"),
        (
            _told(defaults.upstream_idempotency_window),
            "`HFGATEWAY_UPSTREAM_IDEMPOTENCY_WINDOW`",
            "after the first send, during which an ambiguous POST may be repeated",
        ),
        (
            _told(defaults.uncertain_timeout),
            "`HFGATEWAY_UNCERTAIN_TIMEOUT`",
            "after the last send, until `UNCERTAIN` becomes `LOST`",
        ),
        (
            _told(client.LAST_READ_TIMEOUT),
            "`LAST_READ_TIMEOUT`",
            "after the upstream timeout, to read a response that has already arrived",
        ),
        (
            _told(due_steps.PAUSE_AFTER_WHOLE_ERROR),
            "`PAUSE_AFTER_WHOLE_ERROR`",
            "before the first repeat, after a complete 5xx",
        ),
        (
            _told(due_steps.PAUSE_AFTER_SILENCE),
            "`PAUSE_AFTER_SILENCE`",
            "before the first repeat, after silence, a 504 or a truncated response",
        ),
        (f"{_told(second)}, {_told(third)}", "`LATER_PAUSES`", "at least, before the second and the third repeat"),
        (_told(ports.MAX_RETRY_AFTER), "`MAX_RETRY_AFTER`", "the longest `Retry-After` that is respected"),
        (_told(admission.PROBE_PAUSE), "`PROBE_PAUSE`", "until the next probe, if Higgsfield sent no `Retry-After`"),
        (
            _told(admission.RECOVERY_FOR),
            "`RECOVERY_FOR`",
            "after the gate opens, during which waiting submissions are sent at a limited rate",
        ),
        (
            _told(admission.CREDENTIALS_PAUSE),
            "`CREDENTIALS_PAUSE`",
            "between probes while Higgsfield refuses the credentials",
        ),
        (_told(due_steps.MAX_WAIT), "`MAX_WAIT`", "the longest wait to be sent, without a `start_timeout`"),
        (
            _told(missing.GIVE_UP_MISSING),
            "`GIVE_UP_MISSING`",
            "of 404 responses for an accepted generation, until it can become `LOST` ([conditions](#missing-requests))",
        ),
        (
            _told(clock.DISAGREEMENT),
            "`DISAGREEMENT`",
            "drift between the wall clock and steady time that suspends irreversible steps",
        ),
        (
            _told(clock.SETTLED_AFTER),
            "`SETTLED_AFTER`",
            "without further drift before irreversible steps are allowed again",
        ),
        (_told(core.KEYS_KEPT), "`KEYS_KEPT`", "the shortest time that a caller's key is remembered"),
    ]
    return _table(("time", "name", "meaning"), rows)


def transitions() -> str:
    """Return the table of the states that each observation leads to."""
    columns = [State.PENDING, State.UNCERTAIN, State.QUEUED, State.IN_PROGRESS]

    def cell(after: frozenset[State] | None) -> str:
        return ", ".join(f"`{one.name}`" for one in sorted(after)) if after else ""

    rows = []
    for kind, table in state.TRANSITIONS.items():
        ended = "no change of state" if State.COMPLETED in table else ""
        rows.append((f"`{kind.__name__}`", *(cell(table.get(before)) for before in columns), ended))
    return _table(("observation", *(f"from `{one.name}`" for one in columns), "from a final state"), rows)


PARTS: dict[tuple[str, str], Callable[[], str]] = {
    ("docs/settings.md", "settings"): settings,
    ("docs/errors.md", "reasons"): reasons,
    ("docs/submit-path.md", "times"): times,
    ("docs/submit-path.md", "transitions"): transitions,
}


def updated(file: str, name: str) -> str:
    """Return the document with an up-to-date part."""
    begin, end = f"<!-- generated: {name} -->\n", "<!-- end -->\n"
    before, _, rest = (ROOT / file).read_text().partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"{file}: has no marks for {name}")
    return before + begin + PARTS[file, name]() + end + after


def main() -> None:
    """Update every document that has changed parts."""
    for file, name in PARTS:
        text = updated(file, name)
        if (ROOT / file).read_text() != text:
            (ROOT / file).write_text(text)
            print(f"{file}: wrote {name}")


def _refused(name: str) -> bool:
    try:
        config.read_settings({name: "x"})
    except config.SettingError as error:
        return NOT_YET in str(error)
    return False


def _comments() -> dict[str, str]:
    found: dict[str, str] = {}
    comment: list[str] = []
    for line in map(str.strip, PROTO.read_text().splitlines()):
        if line.startswith("//"):
            comment.append(line.removeprefix("//").strip())
            continue
        if value := re.match(r"ERROR_REASON_(\w+) = \d+;", line):
            found[value[1]] = " ".join(comment)
        comment = []
    return found


def _given() -> set[str]:
    """Return the reasons that the code of the gateway uses, apart from the table of codes."""
    sources = (path for path in (ROOT / "gateway").rglob("*.py") if path != ROOT / "gateway" / "rpc" / "errors.py")
    return {name for path in sources for name in re.findall(r"\bReason\.([A-Z_]+)\b", path.read_text())}


def _told(seconds: float) -> str:
    for size, unit in ((86_400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *(tuple(cell.replace("|", "\\|") for cell in row) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    main()
