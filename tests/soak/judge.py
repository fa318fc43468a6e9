"""The judgement of a soak: each function takes what was seen, and gives findings as sentences."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.soak.faults import UNHEALTHY
from tests.soak.ledger import Account, Answer, Fault, Ledger
from tests.soak.service import WORKERS, Usage

RECOVERY = 25.0
"""Seconds until health is 200, each worker serves and no breaker is open. A worker takes 3.5 s to
start on a quiet machine and 10 s on a busy one, of which one fault needs two."""
LIVE = 2.0
"""Seconds: the slowest answer of /health/live."""
LET_IN = 60.0
"""Seconds for which ADR 3 admits an ended session at most, where Redis missed its end."""
OPENINGS = 2 * 2 * WORKERS
"""Of breakers for a fault that lasts: each worker has two, which may close too early once."""
MEMORY = 96 * 2**20
"""Bytes by which a worker may grow: passwords that are being hashed, 19 MiB for each core, the
connections, and what the allocator keeps."""
FILES = 90
"""Open descriptors by which it may grow: all connections of docs/OPERATIONS.md, "Sizing"."""
BUSY = frozenset({429, 503, 504})
_UNFORESEEN = re.compile(r"^asyncio:|unhandled_exception|Traceback")

User = Mapping[str, Any]


def judge_users(ledger: Ledger, users: Iterable[User]) -> list[str]:
    """Whether acknowledged users, counters and deletions are in the database.

    Args:
        ledger: of the clients.
        users: all rows of the database, with `id`, `email` and `full_name`.
    """
    rows = {user["email"]: user for user in users}
    findings = []
    for account in ledger.accounts:
        row = rows.get(account.email)
        if row is None:
            if account.id and account.is_deleted is False:
                findings.append(f"{account.email}: acknowledged, and not in the database")
            continue
        if account.is_deleted:
            findings.append(f"{account.email}: acknowledged as deleted, and in the database")
        if account.id > 0 and row["id"] != account.id:
            findings.append(f"{account.email}: acknowledged as {account.id}, and is {row['id']}")
        findings += judge_profile(account, row)
    return findings


def judge_profile(account: Account, profile: User | None) -> list[str]:
    """Whether a row, or the answer to a session that was not ended, has the counter."""
    if profile is None or "full_name" not in profile:
        return [f"{account.email}: a session that was not ended is refused"]
    counter, least, most = int(profile["full_name"]), account.acknowledged, account.sent
    if least <= counter <= most:
        return []
    return [f"{account.email}: counter {counter}, acknowledged {least}, sent {most}"]


def judge_bulks(ledger: Ledger, users: Iterable[User]) -> list[str]:
    """Whether each bulk is there as acknowledged, or as a whole, or not at all."""
    ids = {user["email"]: user["id"] for user in users}
    findings = []
    for bulk in ledger.bulks:
        found = [ids[email] for email in bulk.emails if email in ids]
        if any(answer != found for answer in bulk.answers):
            findings.append(f"bulk {bulk.emails[0]}: acknowledged {bulk.answers}, and is {found}")
        elif found and len(found) != len(bulk.emails):
            findings.append(f"bulk {bulk.emails[0]}: {len(found)} of {len(bulk.emails)} users")
    return findings


def judge_answers(ledger: Ledger, log: Sequence[str]) -> list[str]:
    """Whether each answer is one that its client expects, or that the faults of its time admit.

    503 and 504 are admitted where PostgreSQL or a process is broken, and no answer at all where a
    process is; an export is cut off where its database goes. Redis is no excuse for any of them.
    """
    groups: defaultdict[str, list[Answer]] = defaultdict(list)
    for answer in ledger.answers:
        if answer.is_expected or _is_admitted(answer, ledger.parts_at(answer.began, answer.ended)):
            continue
        active = {one.name for one in ledger.faults if one.concerns(answer.began, answer.ended)}
        during = ", ".join(sorted(active)) or "no fault"
        groups[f"{answer.status or answer.error} of {answer.request} during {during}"].append(
            answer
        )
    return [
        f"{len(answers)} × {what}; the first: {_explained(answers[0].request_id, log)}"
        for what, answers in groups.items()
    ]


def _is_admitted(answer: Answer, parts: set[str]) -> bool:
    if answer.status in BUSY:
        return bool(parts & {"PostgreSQL", "process"}) and not answer.request.endswith("/live")
    if answer.status == 0:
        is_cut = answer.request.partition("?")[0].endswith("/export") and "PostgreSQL" in parts
        return "Timeout" not in answer.error and ("process" in parts or is_cut)
    return False


def _explained(request_id: str, log: Sequence[str]) -> str:
    """A request's id, and what the service logged of it but for the line of each request."""
    lines = [_short(line) for line in log if request_id and request_id in line]
    return ", ".join([f"request {request_id or '-'}", *(line for line in lines if line)])


def _short(line: str) -> str:
    """The event of a log line with its exception; empty for the line of each request."""
    try:
        event = json.loads(line)
    except ValueError:  # the panel at the start, or the last line of a killed worker
        return line.strip()
    if event.get("logger") == "app.access":
        return ""
    parts = [str(event[name]) for name in ("cause", "reason") if name in event]
    for raised in event.get("exception", ())[:1]:
        ours = [frame for frame in raised["frames"] if "/app/" in frame["filename"]]
        parts += [f"{raised['exc_type']}: {raised['exc_value'][:200]}"]
        parts += [f"at {frame['filename']}:{frame['lineno']}" for frame in ours[-1:]]
    return " ".join([f"{event.get('logger')}: {event.get('event')}", *parts])


def judge_ends(ledger: Ledger) -> list[str]:
    """Whether each ended session that was answered 200 is one that ADR 3 admits: Redis missed the
    end, and it is not back yet, or the process that knew of the end was killed."""
    findings = []
    for ended, seen in ledger.admitted:
        missed = [fault for fault in ledger.faults if fault.concerns(ended, ended)]
        redis = [fault for fault in missed if fault.part == "Redis"]
        is_killed = any(
            fault.part == "process" and fault.concerns(ended, seen) for fault in ledger.faults
        )
        is_away = any(fault.concerns(seen, seen) for fault in redis)
        if not redis or seen - ended > LET_IN or not (is_away or is_killed):
            names = ", ".join(fault.name for fault in missed) or "no fault"
            findings.append(
                f"a session was let in {seen - ended:.1f} s after its end was acknowledged "
                f"during {names}"
            )
    return findings


def judge_log(log: Iterable[str]) -> list[str]:
    """Whether the service logged an error that it did not foresee."""
    found = [line for line in map(_short, log) if _UNFORESEEN.search(line)]
    return [f"log: {len(found)} lines, of which the first is: {found[0]}"] if found else []


def judge_faults(faults: Iterable[Fault]) -> list[str]:
    """Whether each fault was noticed, no breaker flapped, and the service was well again in time.

    Args:
        faults: that are over.
    """
    findings = []
    for fault in faults:
        if fault.recovery > RECOVERY:
            findings.append(f"{fault.name}: well again after {fault.recovery:.1f} s")
        if fault.name in UNHEALTHY and fault.health != 503:
            findings.append(f"{fault.name}: /health was {fault.health} while it was active")
        if fault.name in UNHEALTHY and fault.opened > OPENINGS:
            findings.append(f"{fault.name}: breakers opened {fault.opened} times")
    return findings


def judge_liveness(answers: Iterable[Answer]) -> list[str]:
    """Whether liveness was answered soon throughout."""
    slow = [answer for answer in answers if answer.ended - answer.began > LIVE]
    return [f"{answer.request} took {answer.ended - answer.began:.1f} s" for answer in slow]


def judge_usage(before: Usage, after: Usage) -> list[str]:
    """Whether a worker has grown past its bounds."""
    findings = []
    if after.memory - before.memory > MEMORY:
        findings.append(f"memory of a worker: from {before.memory:,} to {after.memory:,} bytes")
    if after.files - before.files > FILES:
        findings.append(f"descriptors of a worker: from {before.files} to {after.files}")
    return findings
