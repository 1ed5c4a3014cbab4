"""A disk in memory that can be stopped after any system call, and whose power can be cut.

It keeps two truths: what programs see, and what is durable.  A power cut forgets whatever was not fsynced, as unkindly
as POSIX allows: the content of an unsynced file may be anything, and each unsynced change of a directory may have
reached the disk or not, independently of the others.
"""

import errno
import itertools
import os
import random
import stat
from dataclasses import dataclass, field, replace

from seawall.mail.message import FileSlice
from seawall.spool.disk import Disk, FileFacts


class Stopped(BaseException):
    """The program was stopped here: no handler of the program's own may catch it."""


@dataclass
class Inode:
    data: bytes = b""
    durable: bytes | None = None
    """What a power cut leaves; None for a file that was never fsynced."""
    mode: int = 0o600
    uid: int = 0
    modified: float = 0.0
    links: int = 0


@dataclass
class Folder:
    names: dict[str, Inode] = field(default_factory=dict)
    durable: dict[str, Inode] = field(default_factory=dict)


def split(path: str) -> tuple[str, str]:
    return os.path.dirname(path), os.path.basename(path)


class ModelDisk(Disk):
    """See above.  `stop_at` counts the calls that change something: the program ends right after that many."""

    def __init__(self, folders: tuple[str, ...] = ()) -> None:
        self.folders = {path: Folder() for path in folders}
        self.calls: list[str] = []
        self.stop_at: int | None = None
        self.fail: dict[int, int] = {}
        """Number of a call: the errno with which it fails."""
        self.stopped = False
        self.now = 1000.0
        self._open: dict[int, Inode] = {}
        self._numbers = itertools.count(100_000)
        self.without_nameless = False
        """True for a file system that has no O_TMPFILE."""

    # -- stopping ----------------------------------------------------------------------------------------------

    def _step(self, what: str) -> None:
        """Comes before a call: fails or stops it."""
        if self.stopped or (self.stop_at is not None and len(self.calls) >= self.stop_at):
            self.stopped = True
            raise Stopped(what)
        self.calls.append(what)
        number = self.fail.get(len(self.calls))
        if number is not None:
            raise OSError(number, os.strerror(number), what)

    def kill(self) -> "ModelDisk":
        """What a new process finds after kill -9: all that programs saw."""
        survivor = ModelDisk()
        made: dict[int, Inode] = {}

        def copies(names: dict[str, Inode]) -> dict[str, Inode]:
            return {name: made.setdefault(id(inode), replace(inode)) for name, inode in names.items()}

        for path, folder in self.folders.items():
            survivor.folders[path] = Folder(copies(folder.names), copies(folder.durable))
        return survivor

    def cut_power(self, chance: random.Random) -> "ModelDisk":
        """What a new process finds after a power cut.  Several calls with other chances give other ruins."""
        survivor = ModelDisk()
        made: dict[int, Inode] = {}
        for path, folder in self.folders.items():
            left = dict(folder.durable)
            for name in sorted(set(folder.names) | set(folder.durable)):
                before, after = folder.durable.get(name), folder.names.get(name)
                if before is not after and chance.random() < 0.5:
                    if after is None:
                        left.pop(name, None)
                    else:
                        left[name] = after
            kept = {name: made.setdefault(id(inode), self._ruin(inode, chance)) for name, inode in left.items()}
            survivor.folders[path] = Folder(kept, dict(kept))
        for folder in survivor.folders.values():
            for inode in folder.names.values():
                inode.links = sum(other is inode for f in survivor.folders.values() for other in f.names.values())
        return survivor

    @staticmethod
    def _ruin(inode: Inode, chance: random.Random) -> Inode:
        data = inode.durable
        if data != inode.data:
            base = data or b""
            cut = chance.randrange(len(inode.data) + 1)
            data = chance.choice([base, inode.data, inode.data[:cut], inode.data[:cut] + bytes(len(inode.data) - cut)])
            if not data.startswith(base):  # what was fsynced stays: only what came later is in doubt
                data = base
        return Inode(data, data, inode.mode, inode.uid, inode.modified)

    # -- the calls ---------------------------------------------------------------------------------------------

    def _folder(self, path: str) -> Folder:
        try:
            return self.folders[path]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, "no such folder", path) from None

    def _inode(self, path: str) -> Inode:
        folder, name = split(path)
        try:
            return self._folder(folder).names[name]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, "no such file", path) from None

    def _new_descriptor(self, inode: Inode) -> int:
        number = next(self._numbers)
        self._open[number] = inode
        return number

    def create_nameless(self, directory: str) -> int:
        self._folder(directory)
        if self.without_nameless:
            raise OSError(errno.EOPNOTSUPP, "no O_TMPFILE here", directory)
        self._step("create nameless")
        return self._new_descriptor(Inode(modified=self.now))

    def name(self, descriptor: int, path: str) -> None:
        self._enter(path, self._open[descriptor], "name")

    def _enter(self, path: str, inode: Inode, what: str) -> None:
        folder, name = split(path)
        self._step(what)
        if name in self._folder(folder).names:
            raise FileExistsError(errno.EEXIST, "exists", path)
        self._folder(folder).names[name] = inode
        inode.links += 1

    def create(self, path: str, mode: int = 0o600) -> int:
        inode = Inode(mode=mode, modified=self.now)
        self._enter(path, inode, "create")
        return self._new_descriptor(inode)

    def open_read(self, path: str) -> int:
        return self._new_descriptor(self._inode(path))

    def open_append(self, path: str) -> int:
        return self._new_descriptor(self._inode(path))

    def read(self, descriptor: int, offset: int, length: int) -> bytes:
        if descriptor not in self._open:
            return os.pread(descriptor, length, offset)
        return self._open[descriptor].data[offset : offset + length]

    def write(self, descriptor: int, data: bytes) -> None:
        inode = self._open[descriptor]
        half = len(data) // 2
        self._step("write half")
        inode.data += data[:half]
        self._step("write rest")
        inode.data += data[half:]
        inode.modified = self.now

    def copy(self, source: FileSlice, descriptor: int) -> None:
        self.write(descriptor, self.read(source.descriptor, source.offset, source.length))

    def truncate(self, descriptor: int, length: int) -> None:
        self._step("truncate")
        inode = self._open[descriptor]
        inode.data = inode.data[:length]

    def permit(self, descriptor: int, mode: int) -> None:
        self._step("permit")
        self._open[descriptor].mode = mode

    def fsync(self, descriptor: int) -> None:
        self._step("fsync")
        inode = self._open[descriptor]
        inode.durable = inode.data

    def fsync_directory(self, path: str) -> None:
        self._step("fsync folder")
        folder = self._folder(path)
        folder.durable = dict(folder.names)

    def sync(self) -> None:
        self._step("sync")
        for folder in self.folders.values():
            folder.durable = dict(folder.names)
            for inode in folder.names.values():
                inode.durable = inode.data

    def close(self, descriptor: int) -> None:
        self._open.pop(descriptor, None)

    def link(self, path: str, other: str) -> None:
        self._enter(other, self._inode(path), "link")

    def rename(self, path: str, other: str) -> None:
        inode = self._inode(path)
        self._step("rename")
        for where, what in ((path, None), (other, inode)):
            folder, name = split(where)
            if what is None:
                del self._folder(folder).names[name]
            else:
                self._folder(folder).names[name] = what

    def unlink(self, path: str) -> None:
        inode = self._inode(path)
        self._step("unlink")
        folder, name = split(path)
        del self._folder(folder).names[name]
        inode.links -= 1

    def make_directory(self, path: str, mode: int) -> None:
        self._step("make folder")
        if path in self.folders:
            raise FileExistsError(errno.EEXIST, "exists", path)
        self.folders[path] = Folder()

    def is_same(self, path: str, other: str) -> bool:
        return self._inode(path) is self._inode(other)

    def names(self, path: str) -> list[str]:
        return list(self._folder(path).names)

    def facts(self, descriptor: int) -> FileFacts:
        return self._facts(self._open[descriptor])

    def facts_of(self, path: str) -> FileFacts:
        if path in self.folders:
            return FileFacts(0, stat.S_IFDIR | 0o700, 0, 2, 0.0)
        return self._facts(self._inode(path))

    @staticmethod
    def _facts(inode: Inode) -> FileFacts:
        return FileFacts(len(inode.data), stat.S_IFREG | inode.mode, inode.uid, inode.links, inode.modified)
