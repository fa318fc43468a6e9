"""The report of a soak, in Markdown."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import median

from benchmarks.report import machine
from tests.soak.ledger import Fault, Ledger
from tests.soak.service import Usage


@dataclass(frozen=True)
class Report:
    """What a soak found.

    Attributes:
        seconds: from the first fault to the last recovery.
        loop_lag: seconds by which the soak's own event loop was late at most, of which each
            latency here may have as much.
        findings: sentences; none where everything held.
    """

    seed: int
    seconds: float
    versions: str
    ledger: Ledger
    before: Usage
    after: Usage
    loop_lag: float
    findings: list[str]

    def text(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        ledger = self.ledger
        yield f"{machine()} {self.versions}."
        yield f"\n{self.seconds / 60:.1f} minutes, SEED={self.seed}.\n"
        head = "fault", "times", "recovery, median", "longest", "breakers opened"
        yield from _table(*head, rows=self._faults())
        yield from _table("request", "answers", "of a fault", "of no fault", rows=self._requests())
        probes = [one.ended - one.began for one in ledger.answers if one.request.endswith("/live")]
        accounts = ledger.accounts
        sessions = [session for account in accounts for session in account.sessions]
        facts = {
            "users acknowledged": sum(bool(account.id) for account in accounts),
            "counters acknowledged": sum(account.acknowledged for account in accounts),
            "deletions acknowledged": sum(account.is_deleted is True for account in accounts),
            "ends of sessions acknowledged": sum(one.ended_at is not None for one in sessions),
            "bulks acknowledged": sum(bool(bulk.answers) for bulk in ledger.bulks),
            "ended sessions let in while Redis was away": len(ledger.admitted),
            "slowest answer of /health/live": f"{max(probes, default=0):.2f} s",
            "event loop of the clients late by at most": f"{self.loop_lag:.2f} s",
            "memory of a worker": f"{_mib(self.before)} MiB before, {_mib(self.after)} MiB after",
            "descriptors of a worker": f"{self.before.files} before, {self.after.files} after",
        }
        yield from _table("seen", "", rows=facts.items())
        yield f"Findings: {len(self.findings) or 'none'}"
        yield from (f"- {finding}" for finding in self.findings)

    def _faults(self) -> Iterator[tuple[str, ...]]:
        by_name: defaultdict[str, list[Fault]] = defaultdict(list)
        for fault in self.ledger.faults:
            by_name[fault.name].append(fault)
        for name, faults in sorted(by_name.items()):
            times = [fault.recovery for fault in faults]
            opened = sum(fault.opened for fault in faults)
            times_of = f"{median(times):.1f} s", f"{max(times):.1f} s"
            yield name, str(len(faults)), *times_of, str(opened)

    def _requests(self) -> Iterator[tuple[str, ...]]:
        statuses: defaultdict[str, Counter[int]] = defaultdict(Counter)
        errors: defaultdict[str, Counter[bool]] = defaultdict(Counter)
        for answer in self.ledger.answers:
            statuses[answer.request][answer.status] += 1
            if answer.is_unknown:
                during = bool(self.ledger.parts_at(answer.began, answer.ended))
                errors[answer.request][during] += 1
        for request, counts in sorted(statuses.items()):
            shown = ", ".join(f"{n} × {status or 'cut'}" for status, n in sorted(counts.items()))
            yield request, shown, str(errors[request][True]), str(errors[request][False])


def _mib(usage: Usage) -> int:
    return usage.memory // 2**20


def _table(*head: str, rows: Iterable[Iterable[object]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for row in rows:
        yield f"| {' | '.join(map(str, row))} |"
    yield ""
