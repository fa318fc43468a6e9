"""R16: what became of jobs and mails whose workers were killed."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class JobOutcome:
    """Jobs, by number.

    Attributes:
        committed: whose transaction was committed.
        runs: that ran to their end, as often as they did.
    """

    committed: set[int]
    runs: list[int]

    @property
    def lost(self) -> set[int]:
        return self.committed - set(self.runs)

    @property
    def unasked(self) -> set[int]:
        """Ran though their transaction was rolled back."""
        return set(self.runs) - self.committed

    def __str__(self) -> str:
        again = len(self.runs) - len(set(self.runs))
        return (
            f"{len(self.committed)} jobs committed: {len(self.lost)} lost, "
            f"{len(self.unasked)} without their commit, {again} run again"
        )


@dataclass
class MailOutcome:
    """Mails, by Message-ID.

    Attributes:
        killed: names of the workers that were killed.
        committed: mails whose transaction was committed.
        accepted: mail and worker of each content that the server took, in this order.
        records: mails that were seen to be recorded as sent, with the number of contents that the
            server had taken then.
    """

    killed: set[str] = field(default_factory=set)
    committed: set[str] = field(default_factory=set)
    accepted: list[tuple[str, str]] = field(default_factory=list)
    records: dict[str, int] = field(default_factory=dict)

    @property
    def lost(self) -> set[str]:
        return self.committed - {mail for mail, _ in self.accepted}

    @property
    def unasked(self) -> set[str]:
        """Accepted though their transaction was rolled back."""
        return {mail for mail, _ in self.accepted} - self.committed

    def again(self) -> tuple[Counter[str], list[str]]:
        """Mails that the server took once more: how many by worker that was killed between the
        server's answer and the record, and those for which that is not the reason."""
        by_kill, unexplained = Counter[str](), list[str]()
        last: dict[str, str] = {}
        for place, (mail, worker) in enumerate(self.accepted):
            before = last.get(mail)
            last[mail] = worker
            if before is None:
                continue
            if before in self.killed and place < self.records.get(mail, place + 1):
                by_kill[before] += 1
            else:
                unexplained.append(mail)
        return by_kill, unexplained

    def __str__(self) -> str:
        by_kill, unexplained = self.again()
        most = max(by_kill.values(), default=0)
        return (
            f"{len(self.committed)} mails committed: {len(self.lost)} lost, "
            f"{len(self.unasked)} without their commit, {by_kill.total()} sent again for a kill "
            f"before the record (at most {most} for one kill), {len(unexplained)} for no reason"
        )


@dataclass
class Outcome:
    """What was seen."""

    kills: int
    jobs: JobOutcome
    mails: MailOutcome

    @property
    def is_right(self) -> bool:
        """Whether none was lost or ran without its commit, and no mail was sent again but for a
        kill."""
        wrong = self.jobs.lost, self.jobs.unasked, self.mails.lost, self.mails.unasked
        return not any(wrong) and not self.mails.again()[1]

    def __str__(self) -> str:
        return f"{self.kills} kills, {self.jobs}; {self.mails}"
