"""Lighthouse on every view of the admin and account pages: `make lighthouse`.

Usage: python -m tests.lighthouse [VIEW …] [--runs 1]

A service as in production, with 10,000 users, and each view twice: as a phone, with Lighthouse's
simulation of a slow network and processor, and as a desktop. It prints the lowest score of each
category, groups of views with the same scores, and why a score is below 98.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.async_api import async_playwright
from sqlalchemy import text

from app.runtime import Runtime
from tests.browser.chromium import chromium
from tests.browser.screenshots import log_in, opened, site, superuser
from tests.browser.views import PUBLIC_VIEWS, VIEWS, fill

LIGHTHOUSE = Path(__file__).parent / "node_modules" / ".bin" / "lighthouse"
CATEGORIES = ("performance", "accessibility", "best-practices")
"""Without SEO: it rates how search engines find a page, and these ask them to stay away."""
FORMS: Mapping[str, tuple[str, ...]] = {"phone": (), "desktop": ("--preset=desktop",)}
GOAL = 98
LOADED = 5
"""Seconds. Lighthouse would wait for a network that is quiet, up to 45 s, and a page here asks
`/health/ready` every second. On loopback each page is complete within one."""


@dataclass(frozen=True)
class Report:
    """
    Attributes:
        scores: from 0 to 100, in the order of CATEGORIES.
        faults: titles of the audits that lowered a score.
    """

    scores: tuple[int, ...]
    faults: tuple[str, ...]


async def examine(url: str, form: str, headers: Path | None, attempts: int = 3) -> Report:
    """Run Lighthouse once; again where it asks for that."""
    command = [
        *(
            str(LIGHTHOUSE),
            url,
            "--quiet",
            "--output=json",
            f"--max-wait-for-load={LOADED * 1000}",
            "--chrome-flags=--headless=new --no-sandbox",
        ),
        *(f"--only-categories={','.join(CATEGORIES)}", *FORMS[form]),
        *([f"--extra-headers={headers}"] if headers else []),
    ]
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, "CHROME_PATH": chromium()},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    if process.returncode == 0:
        return read(json.loads(output))
    if b"Please run Lighthouse again" in errors and attempts > 1:  # Chromium gave no trace
        return await examine(url, form, headers, attempts - 1)
    raise RuntimeError(f"{url}: {errors.decode()}")


def read(result: dict[str, Any]) -> Report:
    if "runtimeError" in result:
        raise RuntimeError(result["runtimeError"]["message"])
    scores, faults = [], []
    for name in CATEGORIES:
        category = result["categories"][name]
        scores.append(round(category["score"] * 100))
        for reference in category["auditRefs"]:
            audit = result["audits"][reference["id"]]
            if reference["weight"] and audit["score"] is not None and audit["score"] < 0.9:
                faults.append(f"{audit['title']} {audit.get('displayValue', '')}".strip())
    return Report(tuple(scores), tuple(faults))


async def median(url: str, form: str, headers: Path | None, runs: int) -> Report:
    """The run of which the performance is in the middle."""
    reports = [await examine(url, form, headers) for _ in range(runs)]
    return sorted(reports, key=lambda report: report.scores)[runs // 2]


async def confirm_again(runtime: Runtime) -> None:
    """Let sessions be as after a login of this moment: some views ask to confirm an older one."""
    async with runtime.engine.begin() as connection:
        await connection.execute(
            text("UPDATE sessions SET created_at = now(), confirmed_at = now()")
        )


def show(found: Mapping[tuple[str, str], Report]) -> str:
    """As Markdown, so that it can be pasted into the docs, and the faults below it."""
    groups = defaultdict(list)
    for view in dict.fromkeys(view for view, _ in found):
        groups[tuple(found[view, form].scores for form in FORMS)].append(view)
    titles = [f"{category}, {form}" for form in FORMS for category in CATEGORIES]
    lines = [("views", *titles), ("---",) * (len(titles) + 1)]
    for scores, views in sorted(groups.items(), key=lambda group: -len(group[1])):
        lines.append((", ".join(views), *(str(score) for form in scores for score in form)))
    faults = [
        f"{view}, {form}: {'; '.join(report.faults)}"
        for (view, form), report in found.items()
        if min(report.scores) < GOAL
    ]
    return "\n".join([*(f"| {' | '.join(cells)} |" for cells in lines), *faults])


async def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.lighthouse")
    known = [*VIEWS, *PUBLIC_VIEWS]
    parser.add_argument("views", nargs="*", metavar="VIEW", help="name of a route; default: all")
    parser.add_argument("--runs", type=int, default=1, help="of each view; the median counts")
    asked = parser.parse_args()
    if unknown := set(asked.views) - set(known):
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
    found = {}
    async with AsyncExitStack() as stack:
        runtime, url, _ = await stack.enter_async_context(site())
        playwright = await stack.enter_async_context(async_playwright())
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        async with superuser(url) as root:
            paths = await fill(runtime, root)
        browser = await playwright.chromium.launch(executable_path=chromium())
        async with opened(browser, url) as page:
            await log_in(page)
            cookies = [f"{c['name']}={c['value']}" for c in await page.context.cookies()]
        await browser.close()
        headers = Path(folder) / "headers.json"
        headers.write_text(json.dumps({"Cookie": "; ".join(cookies)}))
        for view in asked.views or known:
            for form in FORMS:
                await confirm_again(runtime)
                sent = headers if view in VIEWS else None
                report = await median(url + paths[view], form, sent, asked.runs)
                sys.stderr.write(f"{view}, {form}: {report.scores}\n")
                found[view, form] = report
    sys.stdout.write(f"{show(found)}\n")
    return sum(min(report.scores) < GOAL for report in found.values())


if __name__ == "__main__":
    os.environ.setdefault("ENVIRONMENT", "test")
    sys.exit(asyncio.run(main()))
