"""Memory-mapped files of metric values, with disk space reserved before a file is mapped.

prometheus-client maps sparse files. On a full file system, the first write to a page without a
block ends the process by SIGBUS. Here the space is reserved before a file is mapped. Without space,
values stay in the memory of the process, until `save_files` succeeds. It also restores files that
were removed.
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

INITIAL_SIZE = 1 << 16
"""Initial size of a file in bytes, as in the library. It doubles when it is full."""
_HEADER = struct.Struct("i4x")  # the number of bytes in use, including the header
_OVERHEAD = 4 + 8 + 16  # bytes of a value besides its key: length, padding, two doubles

Value = tuple[str, float, float, int]
"""Key, value, time stamp and position."""


class FiguresFile(MmapedDict):
    """The library's dictionary of values, in a file with reserved space, or else in memory.

    Attributes:
        ours: the instances of this process, by file name.
        trouble: the reason why the values are only in memory; None if they are in the file.
    """

    ours: ClassVar[dict[str, "FiguresFile"]] = {}

    def __init__(self, filename: str, read_mode: bool = False) -> None:  # noqa: FBT001, FBT002  # as the library's
        self.trouble: OSError | None = None
        # Guards growing against saving. The library's own lock is not accessible: a value that
        # changes during a save is correct in the file after its next change.
        self._moving = Lock()
        try:
            with Path(filename).open("ab") as file:
                _reserve(file.fileno(), INITIAL_SIZE)
            super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]
        except OSError as error:
            self.trouble = error
            self._f, self._fname = None, filename  # type: ignore[assignment]
            self._capacity, self._used = INITIAL_SIZE, _HEADER.size
            self._m = mmap.mmap(-1, INITIAL_SIZE)
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
                # The file stays as it is: to other processes these counters pause. Without the
                # file they would seem to restart at 0.
                self.trouble = error
                self._f.close()
                self._f = None  # type: ignore[assignment]
        if self._f is None:
            grown = mmap.mmap(-1, size)
            grown[: self._used] = self._m[: self._used]
            self._m = grown
        self._capacity = size

    def save(self) -> None:
        """Write the values to the file, if it was removed or there was no space."""
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
        """All values, consistent with concurrent changes by other threads."""
        with self._moving:
            data = self._m[: self._used]
        return list(_read_all_values(data, len(data)))

    def close(self) -> None:
        self.ours.pop(Path(self._fname).name, None)
        super().close()  # type: ignore[no-untyped-call]

    @staticmethod
    def read_all_values_from_file(filename: str) -> list[Value]:
        """The values of another process; none if its file is missing or damaged."""
        own = FiguresFile.ours.get(Path(filename).name)
        if own is not None:
            return own.all_values()
        try:
            return list(MmapedDict.read_all_values_from_file(filename))
        except (OSError, RuntimeError, ValueError, struct.error):
            return []


def _reserve(descriptor: int, size: int) -> None:
    """Extend a file to at least `size` bytes, with blocks allocated.

    Raises:
        OSError: there is no space; the file is unchanged.
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
            if error.errno not in {EINVAL, EOPNOTSUPP}:  # not supported by the file system
                raise
        else:
            return
    while before < size:
        before += os.pwrite(descriptor, bytes(size - before), before)


def reserve_files() -> None:
    """Make prometheus-client use `FiguresFile`. Call before the first metric is created."""
    values.MmapedDict = FiguresFile  # type: ignore[attr-defined]
    multiprocess.MmapedDict = FiguresFile  # type: ignore[attr-defined]


def save_files() -> OSError | None:
    """Save the files of this process that were removed or had no space.

    Returns:
        The reason why one of them is only in memory; None if all are in files.
    """
    files = list(FiguresFile.ours.values())
    for file in files:
        file.save()
    return next((file.trouble for file in files if file.trouble is not None), None)


def all_files(folder: Path) -> list[str]:
    """File names for `FiguresFile.read_all_values_from_file`: of the folder and of this process."""
    paths = {name: name for name in FiguresFile.ours}
    with suppress(OSError):  # the folder cannot be read
        paths = {path.name: str(path) for path in folder.glob("*.db")} | paths
    return list(paths.values())
