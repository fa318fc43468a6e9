"""A soak from its start to its report."""

import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from random import Random

from tests.faults.observing import loop_lag
from tests.polling import within_async
from tests.soak import judge
from tests.soak.clients import ME, ROLES, Client, busy
from tests.soak.faults import FAULTS
from tests.soak.ledger import Fault, Ledger
from tests.soak.report import Report
from tests.soak.service import ADMIN, Backing, Service, backing, service

WARM_UP = 3.0
"""Seconds without a fault at the start, after which memory is looked at."""


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes:
        seconds: in which faults begin.
        seed: of everything that is chosen by chance.
        faults: names; all of them come in turn, in another order each round.
        active: seconds that a fault is active, least and most.
        quiet: seconds between a recovery and the next fault, least and most. Past `GRACE` an error
            is one of no fault.
        rounds: of faults at most.
    """

    seconds: float
    seed: int
    faults: Sequence[str] = tuple(FAULTS)
    active: tuple[float, float] = (2.0, 5.0)
    quiet: tuple[float, float] = (2.5, 4.0)
    rounds: int = 10**6


BRIEF = (
    "PostgreSQL: backends terminated",
    "PostgreSQL: crashed",
    "PostgreSQL: read-only",
    "PostgreSQL: users locked",
    "PostgreSQL: column type changed",
    "Redis: connections reset",
    "Redis: out of memory, then reset",
    "Redis: replica of another",
    "Redis: emptied",
    "process: worker killed",
    "client: slow, or cut in a body",
)
"""Faults that begin and end at once."""


def brief(seed: int) -> Plan:
    """A plan for the suite of tests: each of `BRIEF` once, for a second."""
    return Plan(150, seed, BRIEF, active=(1.0, 1.5), quiet=(1.2, 1.5), rounds=1)


def soak(plan: Plan) -> Report:
    """Run servers, the service, clients and faults; everything is ended afterwards."""
    with backing() as servers:
        return asyncio.run(_soak(plan, servers))


async def _soak(plan: Plan, servers: Backing) -> Report:
    ledger = Ledger()
    async with service(servers) as running, loop_lag() as lags:
        async with busy(running.instance.url, ADMIN, ledger, plan.seed):
            await asyncio.sleep(WARM_UP)
            before = running.usage()
            began = time.monotonic()
            await _break(plan, running, ledger)
            seconds = time.monotonic() - began
            await ledger.settled()
        findings = await _judge(running, ledger)
        after = running.usage()
        versions = await running.versions()
    findings += judge.judge_usage(before, after)
    return Report(plan.seed, seconds, versions, ledger, before, after, max(lags), findings)


async def _break(plan: Plan, running: Service, ledger: Ledger) -> None:
    """One fault after another, each until the service is well again."""
    chance = Random(plan.seed)
    until = time.monotonic() + plan.seconds
    shuffled = (chance.sample(plan.faults, len(plan.faults)) for _ in range(plan.rounds))
    for name in chain.from_iterable(shuffled):
        active, quiet = chance.uniform(*plan.active), chance.uniform(*plan.quiet)
        if time.monotonic() + active > until:
            return
        sys.stderr.write(f"{until - time.monotonic():4.0f} s  {name}\n")
        logged = running.logged
        with ledger.fault(name) as fault:
            async with FAULTS[name](running):
                await asyncio.sleep(active)
                fault.health = (await running.get("/health")).status_code
        fault.opened = _openings(running.log(logged))
        await _recover(running, fault)
        await asyncio.sleep(quiet)


async def _recover(running: Service, fault: Fault) -> None:
    # Longer than admitted, so that the report says how long it took.
    if await within_async(4 * judge.RECOVERY, running.is_well):
        fault.recovered = time.monotonic()


def _openings(log: Sequence[str]) -> int:
    """How often a breaker opened, but for timeouts, which a busy machine has without any fault."""
    return sum("redis_left_alone" in line and "TimeoutError" not in line for line in log)


async def _judge(running: Service, ledger: Ledger) -> list[str]:
    findings = await _judge_sessions(running.instance.url, ledger)
    users = await running.users()
    log = running.log()
    if (incomplete := len(ROLES) - ledger.completed) > 0:
        findings.append(f"{incomplete} clients did not come to an end of what they did")
    probes = [answer for answer in ledger.answers if answer.request.endswith("/health/live")]
    return [
        *findings,
        *judge.judge_users(ledger, users),
        *judge.judge_bulks(ledger, users),
        *judge.judge_answers(ledger, log),
        *judge.judge_ends(ledger),
        *judge.judge_log(log),
        *judge.judge_faults(ledger.faults),
        *judge.judge_liveness(probes),
    ]


async def _judge_sessions(url: str, ledger: Ledger) -> list[str]:
    """Use every session once more: ended ones are refused, the others read what was written."""
    client = Client(0, url, ledger, Random())
    findings = []
    for account in ledger.accounts:
        for session in account.sessions:
            if session.ended_at is not None:
                await client.check_end(session)
            elif account.is_deleted is False:
                _, response = await client.ask("GET", ME, 200, session=session)
                profile = None if response is None else response.json()
                findings += judge.judge_profile(account, profile)
    await client.http.aclose()
    return findings
