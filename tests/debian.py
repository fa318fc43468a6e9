"""Programs that no Python package brings: from the PATH, else out of a Debian package that is
fetched and unpacked beside the tests' other state. Nothing is installed, and nobody has to be root.
"""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

CACHE = Path(__file__).resolve().parents[1] / ".local" / "debian"


class ProgramMissing(Exception):
    """It is not here, and cannot be fetched; the message says what to do."""


@dataclass(frozen=True)
class Program:
    """What to start, and the variables it has to be started with."""

    path: Path
    environment: dict[str, str]


def program(package: str) -> Program:
    """The program that has the name of its Debian package, such as `pgbouncer`.

    Raises:
        ProgramMissing: it is neither on the PATH nor to be had from a Debian mirror.
    """
    places = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
    if installed := shutil.which(package, path=places):
        return Program(Path(installed), {})
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise ProgramMissing(f"install {package}: the tests start one of their own")
    folder = unpacked(package)
    (path,) = (found for found in folder.rglob(f"*bin/{package}") if found.is_file())
    libraries = os.pathsep.join(str(place) for place in folder.glob("usr/lib/*-linux-gnu*"))
    return Program(path, {"LD_LIBRARY_PATH": libraries} if libraries else {})


def unpacked(package: str) -> Path:
    """The files of a Debian package.

    Raises:
        ProgramMissing: no mirror gives it to us.
    """
    folder = CACHE / package
    if not folder.exists():
        _unpack(package, folder)
    return folder


def _unpack(package: str, folder: Path) -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=CACHE) as temporary:
        draft = Path(temporary) / package
        draft.mkdir(mode=0o755)
        archive = _fetch([package], draft)[0]
        if _lacks_libraries(draft, package):
            depends = _output("dpkg-deb", "--field", str(archive), "Depends")
            names = re.findall(r"(?:^|, )(lib[^\s,:]+)", depends)
            _fetch([name for name in names if name != "libc6"], draft)
        for leftover in draft.glob("*.deb"):
            leftover.unlink()
        Path(temporary).chmod(0o755)
        if not folder.exists():  # another run may have been faster
            draft.rename(folder)


def _lacks_libraries(folder: Path, package: str) -> bool:
    paths = [str(path) for path in folder.rglob(f"*bin/{package}") if path.is_file()]
    tells = subprocess.run(["ldd", *paths], capture_output=True, text=True, check=False)
    return "not found" in tells.stdout  # a static program is "not a dynamic executable"


def _fetch(packages: list[str], folder: Path) -> list[Path]:
    """Download and unpack into `folder`; the archives."""
    own = folder.parent / "apt"
    for name in ("lists/partial", "cache/archives/partial"):
        (own / name).mkdir(parents=True, exist_ok=True)
    options = ["-o", "APT::Sandbox::User=root"]
    # What the machine knows of its mirrors may be old, or nothing at all.
    afresh = [*options, "-o", f"Dir::State::lists={own}/lists", "-o", f"Dir::Cache={own}/cache"]
    told = _apt(["apt-get", *options, "download", *packages], folder)
    if told.returncode != 0:
        _apt(["apt-get", *afresh, "update"], folder)
        told = _apt(["apt-get", *afresh, "download", *packages], folder)
    if told.returncode != 0:
        raise ProgramMissing(f"install {packages[0]}: no mirror gives it to us\n{told.stderr}")
    archives = [next(folder.glob(f"{package}_*.deb")) for package in packages]
    for archive in archives:
        subprocess.run(["dpkg-deb", "--extract", archive, folder], check=True)
    return archives


def _apt(command: list[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=100
    )


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
