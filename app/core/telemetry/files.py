"""The files in which several worker processes keep their figures.

prometheus-client maps sparse files into memory. Where the file system is full, the first write to a
page without a block ends the process by SIGBUS. Here the space is reserved before a file is mapped.
Where there is none, figures stay in the memory of the process, until `save_files` finds space. It
writes files anew that were removed, too.
"""

import mmap
import os
import struct
from contextlib import suppress
from errno import EINVAL, EOPNOTSUPP
from pathlib import Path
from threading import Lock
from typing import ClassVar

from prometheus_client import multiprocess, values
from prometheus_client.mmap_dict import MmapedDict, _read_all_values

SIZE = 1 << 16
"""Bytes of a file at first, as of the library's. It doubles when it is full."""
_HEADER = struct.Struct("i4x")  # the bytes in use, these among them
_OVERHEAD = 4 + 8 + 16  # bytes of a value beside its key: its length, padding, two doubles

Value = tuple[str, float, float, int]
"""Key, value, time stamp and position."""


class FiguresFile(MmapedDict):
    """The library's dictionary of values, in a file of reserved space, or else in memory.

    Attributes:
        ours: those of this process, by the names of their files.
        trouble: why the values are in memory alone; None where they are in the file.
    """

    ours: ClassVar[dict[str, "FiguresFile"]] = {}

    def __init__(self, filename: str, read_mode: bool = False) -> None:  # noqa: FBT001, FBT002  # as the library's
        self.trouble: OSError | None = None
        # Between growing and saving. The library's own lock is out of reach: a value that is set
        # just while it is saved is right in the file at its next change.
        self._moving = Lock()
        try:
            with Path(filename).open("ab") as file:
                _reserve(file.fileno(), SIZE)
            super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]
        except OSError as error:
            self.trouble = error
            self._f, self._fname = None, filename  # type: ignore[assignment]
            self._capacity, self._used = SIZE, _HEADER.size
            self._m = mmap.mmap(-1, SIZE)
            self._m[: _HEADER.size] = _HEADER.pack(self._used)
            self._positions: dict[str, int] = {}
        self.ours[Path(filename).name] = self

    def _init_value(self, key: str) -> None:
        with self._moving:
            while self._used + len(key.encode()) + _OVERHEAD > self._capacity:
                self._grow()
            super()._init_value(key)  # type: ignore[no-untyped-call]  # it finds room

    def _grow(self) -> None:
        size = self._capacity * 2
        if self._f is not None:
            try:
                _reserve(self._f.fileno(), size)
                self._m = mmap.mmap(self._f.fileno(), size)
            except OSError as error:
                # The file stays as it is: to others these counters stand still for a while, where
                # without it they would seem to begin anew.
                self.trouble = error
                self._f.close()
                self._f = None  # type: ignore[assignment]
        if self._f is None:
            grown = mmap.mmap(-1, size)
            grown[: self._used] = self._m[: self._used]
            self._m = grown
        self._capacity = size

    def save(self) -> None:
        """Have the values in the file: again, where it was removed or there was no space."""
        with self._moving:
            path = Path(self._fname)
            try:
                if self.trouble is None and path.exists():
                    return
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                file = path.open("a+b")
                try:
                    _reserve(file.fileno(), self._capacity)
                    saved = mmap.mmap(file.fileno(), self._capacity)
                except OSError:
                    file.close()
                    raise
            except OSError as error:
                self.trouble = error
                return
            saved[_HEADER.size : self._used] = self._m[_HEADER.size : self._used]
            saved[: _HEADER.size] = self._m[: _HEADER.size]  # last: others read up to what it says
            if self._f is not None:
                self._f.close()
            self._f, self._m, self.trouble = file, saved, None

    def all_values(self) -> list[Value]:
        """As they are, whatever another thread does to the file meanwhile."""
        with self._moving:
            data = self._m[: self._used]
        return list(_read_all_values(data, len(data)))

    def close(self) -> None:
        self.ours.pop(Path(self._fname).name, None)
        super().close()  # type: ignore[no-untyped-call]

    @staticmethod
    def read_all_values_from_file(filename: str) -> list[Value]:
        """The values of a process of ours; of one whose file is gone, or damaged, none."""
        own = FiguresFile.ours.get(Path(filename).name)
        if own is not None:
            return own.all_values()
        try:
            return list(MmapedDict.read_all_values_from_file(filename))
        except (OSError, RuntimeError, ValueError, struct.error):
            return []


def _reserve(descriptor: int, size: int) -> None:
    """Have a file of at least `size` bytes, each of them on a block of its own.

    Raises:
        OSError: there is no space; the file is as it was.
    """
    before = os.fstat(descriptor).st_size
    try:
        _allocate(descriptor, before, max(size, before))
    except OSError:
        with suppress(OSError):
            os.ftruncate(descriptor, before)
        raise


def _allocate(descriptor: int, before: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, 0, size)
        except OSError as error:
            if error.errno not in {EINVAL, EOPNOTSUPP}:  # the file system cannot
                raise
        else:
            return
    while before < size:
        before += os.pwrite(descriptor, bytes(size - before), before)


def reserve_files() -> None:
    """Have the library use `FiguresFile`. Call before the first metric is made."""
    values.MmapedDict = FiguresFile  # type: ignore[attr-defined]
    multiprocess.MmapedDict = FiguresFile  # type: ignore[attr-defined]


def save_files() -> OSError | None:
    """Save every file of this process: again, where it was removed or there was no space.

    Returns:
        Why one of them is in memory alone; None where all are in files.
    """
    files = list(FiguresFile.ours.values())
    for file in files:
        file.save()
    return next((file.trouble for file in files if file.trouble is not None), None)


def all_files(folder: Path) -> list[str]:
    """Names for `FiguresFile.read_all_values_from_file`: the folder's, and this process's own."""
    paths = {name: name for name in FiguresFile.ours}
    with suppress(OSError):  # the folder cannot be read
        paths = {path.name: str(path) for path in folder.glob("*.db")} | paths
    return list(paths.values())
