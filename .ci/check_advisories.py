"""Looks up known vulnerabilities of the image's packages, by pip-audit.

Where the source of advisories does not answer, this says so. It fails then only with --required: a
check has to be usable offline.

Usage: check_advisories.py [--required]
"""

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

LOCK = "deploy/requirements.lock"
AUDIT = [
    *(str(Path(sys.executable).with_name("pip-audit")), "--progress-spinner", "off"),
    *("--format", "json", "--disable-pip", "--require-hashes", "--requirement", LOCK),
]


def look_up(accepted: list[str]) -> list[dict[str, Any]]:
    """The packages with their `vulns`, or with a `skip_reason` where they were not found.

    Raises:
        ValueError: pip-audit ended without a report; the message is its last line.
    """
    ignored = [argument for name in accepted for argument in ("--ignore-vuln", name)]
    ended = subprocess.run([*AUDIT, *ignored], capture_output=True, text=True, check=False)
    if not ended.stdout:
        raise ValueError(ended.stderr.strip().splitlines()[-1])
    packages: list[dict[str, Any]] = json.loads(ended.stdout)["dependencies"]
    return packages


def vulnerabilities(packages: list[dict[str, Any]]) -> list[str]:
    """One line for each: package, version, advisory, and the versions that mend it."""
    return [
        f"{package['name']} {package['version']}: {found['id']}, mended in "
        f"{', '.join(found['fix_versions']) or 'no version'}"
        for package in packages
        for found in package.get("vulns", [])
    ]


def main() -> int:
    accepted = tomllib.loads(Path("pyproject.toml").read_text())["tool"]["advisories"]
    try:
        packages = look_up(list(accepted))
    except ValueError as error:
        packages, missing = [], f"no package was looked up: {error}"
    else:
        skipped = sum("skip_reason" in package for package in packages)
        missing = f"{skipped} of {len(packages)} packages were not found" if skipped else ""
    found = vulnerabilities(packages)
    for line in found:
        sys.stderr.write(f"{line}\n")
    if missing:
        sys.stderr.write(f"NOT AUDITED: the source of advisories does not answer ({missing})\n")
    return int(bool(found or (missing and "--required" in sys.argv)))


if __name__ == "__main__":
    sys.exit(main())
