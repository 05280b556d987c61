"""What a disk could hold after a power cut, worked out from the system calls of a program.

What was synced is there. Of what was not, any part may be missing: writes to files, and names in directories,
each for itself and in whatever order. A rename is one step: it happened or it did not.
"""

from __future__ import annotations

import os
import random
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

TRACED = "openat,close,write,pwrite64,fsync,fdatasync,rename,link,unlink,mkdir,ftruncate,symlink,linkat"
_CALL = re.compile(r"^(?P<pid>\d+)\s+(?P<name>\w+)\((?P<arguments>.*)\)\s+= (?P<result>-?\d+)")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


@dataclass
class Inode:
    """A file: what it held at first, and every change since."""

    first: bytes = b""
    changes: list[tuple[int, bytes | int]] = field(default_factory=list)  # (offset, data) or (-1, new size)
    synced: int = 0
    target: str | None = None  # of a symbolic link

    def content(self, kept: list[tuple[int, bytes | int]]) -> bytes:
        data = bytearray(self.first)
        for offset, change in kept:
            if isinstance(change, int):
                del data[change:]
                data.extend(bytes(change - len(data)))
            else:
                data.extend(bytes(max(0, offset - len(data))))
                data[offset : offset + len(change)] = change
        return bytes(data)


@dataclass(frozen=True)
class Naming:
    """One step in the names of directories: some go, some come."""

    gone: tuple[str, ...]
    come: tuple[tuple[str, int], ...]  # path and inode; -1 is a directory

    def directories(self) -> set[str]:
        return {os.path.dirname(path) for path in (*self.gone, *(path for path, _ in self.come))}


class Disk:
    """A directory tree, and how far each part of it has reached the disk.

    Parameters
    ----------
    root : Path
        The tree as it is before the program; all of that has reached the disk.
    """

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.inodes: dict[int, Inode] = {}
        self.names: dict[str, int] = {}
        self.directories = {self.root}
        self.namings: list[tuple[Naming, set[str]]] = []  # with the directories whose sync it still awaits
        self.opened: dict[int, tuple[int, int]] = {}  # descriptor to inode and offset, -1 for its end
        self.opened_directories: dict[int, str] = {}
        self.told: list[str] = []
        seen: dict[int, int] = {}
        for folder, folders, files in os.walk(root):
            self.directories.update(f"{folder}/{name}" for name in folders)
            for name in files:
                path = f"{folder}/{name}"
                found = os.lstat(path)
                if found.st_ino not in seen:
                    link = os.readlink(path) if os.path.islink(path) else None
                    first = b"" if link is not None else Path(path).read_bytes()
                    seen[found.st_ino] = self._inode(Inode(first, target=link))
                self.names[path] = seen[found.st_ino]
        self.first_names = dict(self.names)
        self.first_directories = set(self.directories)

    def _inode(self, inode: Inode) -> int:
        self.inodes[len(self.inodes)] = inode
        return len(self.inodes) - 1

    def _ours(self, path: str) -> bool:
        return path.startswith(self.root) and not path.endswith("-shm")  # the shared memory is no data

    def step(self, line: str) -> bool:
        """Follow one system call; tell whether the disk could differ after it."""
        call = _CALL.match(line)
        if call is None or call["result"].startswith("-"):
            return False
        arguments = call["arguments"]
        strings = [bytes.fromhex(text.replace("\\x", "")) for text in _STRING.findall(arguments)]
        return bool(getattr(self, f"_{call['name']}")(arguments, strings, int(call["result"])))

    def _openat(self, arguments: str, strings: list[bytes], descriptor: int) -> bool:
        path = os.path.normpath(strings[0].decode())
        self.opened.pop(descriptor, None)
        self.opened_directories.pop(descriptor, None)
        if not self._ours(path):
            return False
        if path in self.directories:
            self.opened_directories[descriptor] = path
            return False
        created = path not in self.names
        if created:
            self._name(Naming((), ((path, self._inode(Inode())),)))
        number = self.names[path]
        if "O_TRUNC" in arguments and not created:
            self.inodes[number].changes.append((-1, 0))
        self.opened[descriptor] = (number, -1 if "O_APPEND" in arguments else 0)
        return created or "O_TRUNC" in arguments

    def _close(self, arguments: str, strings: list[bytes], result: int) -> bool:
        self.opened.pop(int(arguments), None)
        return False

    def _name(self, naming: Naming) -> None:
        for path in naming.gone:
            self.names.pop(path, None)
        for path, number in naming.come:
            if number < 0:
                self.directories.add(path)
            else:
                self.names[path] = number
        self.namings.append((naming, naming.directories()))

    def _write(self, arguments: str, strings: list[bytes], result: int) -> bool:
        descriptor = int(arguments.split(",", 1)[0])
        if descriptor == 1:
            self.told.append(strings[0].decode())
            return False
        if descriptor not in self.opened:
            return False
        number, offset = self.opened[descriptor]
        inode = self.inodes[number]
        if offset < 0:
            inode.changes.append((len(inode.content(inode.changes)), strings[0][:result]))
            return True
        inode.changes.append((offset, strings[0][:result]))
        self.opened[descriptor] = (number, offset + result)
        return True

    def _pwrite64(self, arguments: str, strings: list[bytes], result: int) -> bool:
        descriptor = int(arguments.split(",", 1)[0])
        if descriptor not in self.opened:
            return False
        offset = int(arguments.rsplit(",", 1)[1])
        self.inodes[self.opened[descriptor][0]].changes.append((offset, strings[0][:result]))
        return True

    def _ftruncate(self, arguments: str, strings: list[bytes], result: int) -> bool:
        descriptor, size = map(int, arguments.split(","))
        if descriptor not in self.opened:
            return False
        self.inodes[self.opened[descriptor][0]].changes.append((-1, size))
        return True

    def _fsync(self, arguments: str, strings: list[bytes], result: int) -> bool:
        descriptor = int(arguments)
        if descriptor in self.opened:
            inode = self.inodes[self.opened[descriptor][0]]
            inode.synced = len(inode.changes)
        elif descriptor in self.opened_directories:
            for _, awaited in self.namings:
                awaited.discard(self.opened_directories[descriptor])
        return True

    _fdatasync = _fsync

    def _rename(self, arguments: str, strings: list[bytes], result: int) -> bool:
        old, new = (os.path.normpath(text.decode()) for text in strings)
        self._name(Naming((old,), ((new, self.names[old]),)))
        return True

    def _link(self, arguments: str, strings: list[bytes], result: int) -> bool:
        old, new = (os.path.normpath(text.decode()) for text in strings)
        self._name(Naming((), ((new, self.names[old]),)))
        return True

    _linkat = _link

    def _symlink(self, arguments: str, strings: list[bytes], result: int) -> bool:
        number = self._inode(Inode(target=strings[0].decode()))
        self._name(Naming((), ((os.path.normpath(strings[1].decode()), number),)))
        return True

    def _unlink(self, arguments: str, strings: list[bytes], result: int) -> bool:
        path = os.path.normpath(strings[0].decode())
        if not self._ours(path):
            return False
        self._name(Naming((path,), ()))
        return True

    def _mkdir(self, arguments: str, strings: list[bytes], result: int) -> bool:
        self._name(Naming((), ((os.path.normpath(strings[0].decode()), -1),)))
        return True

    def cut(self, target: Path, keep: random.Random | None) -> None:
        """Write what the disk holds if the power goes now.

        Parameters
        ----------
        target : Path
            Where to.
        keep : Random or None
            Decides what of the unsynced has reached the disk; None: nothing has.
        """
        names, directories = dict(self.first_names), set(self.first_directories)
        for naming, awaited in self.namings:
            if awaited and not (keep and keep.random() < 0.5):
                continue
            for path in naming.gone:
                names.pop(path, None)
            for path, number in naming.come:
                if number < 0:
                    directories.add(path)
                else:
                    names[path] = number
        shutil.rmtree(target, ignore_errors=True)
        for directory in sorted(directories):
            if os.path.dirname(directory) in directories or directory == self.root:
                os.makedirs(f"{target}{directory.removeprefix(self.root)}", exist_ok=True)
        written: dict[int, str] = {}
        for path, number in names.items():
            if os.path.dirname(path) in directories:
                self._put(f"{target}{path.removeprefix(self.root)}", number, written, keep)

    def _put(self, path: str, number: int, written: dict[int, str], keep: random.Random | None) -> None:
        inode = self.inodes[number]
        if not os.path.isdir(os.path.dirname(path)):
            return
        if inode.target is not None:
            os.symlink(inode.target, path)
        elif number in written:
            os.link(written[number], path)
        else:
            unsynced = inode.changes[inode.synced :]
            kept = [change for change in unsynced if keep and keep.random() < 0.5]
            Path(path).write_bytes(inode.content([*inode.changes[: inode.synced], *kept]))
            written[number] = path


def calls(log: Path) -> Iterator[str]:
    """Yield the calls of a trace, those put together that were interrupted by another thread's."""
    waiting: dict[str, str] = {}
    for line in log.read_text().splitlines():
        pid = line.split(None, 1)[0]
        if line.endswith("<unfinished ...>"):
            waiting[pid] = line.removesuffix("<unfinished ...>")
        elif "resumed>" in line:
            yield waiting.pop(pid, "") + line.split("resumed>", 1)[1]
        else:
            yield line
