"""Small file systems to fill up or to cut the power of: ext4 in a loop-mounted file. Needs root."""

import fcntl
import os
import shutil
import struct
import subprocess
from pathlib import Path

from tests.tools.waiting import until

_EXT4_IOC_SHUTDOWN = 0x8004587D
_NO_LOG_FLUSH = 2


def why_not() -> str:
    """Why images cannot be mounted here; empty when they can."""
    if os.geteuid() != 0:
        return "mounting a file system image needs root"
    for program in ("mkfs.ext4", "mount", "umount"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    if not Path("/dev/loop-control").exists():
        return "there are no loop devices"
    return ""


class Image:
    """An ext4 file system of ``megabytes`` in ``folder``/NAME.img, mounted at ``mount``."""

    def __init__(self, folder: Path, name: str, megabytes: int) -> None:
        self._file = folder / f"{name}.img"
        self.mount = folder / name
        self.mount.mkdir()
        with self._file.open("wb") as file:
            file.truncate(megabytes << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", self._file], check=True, timeout=60)
        self._mounted = False
        self.attach()

    def attach(self) -> None:
        """Mount it, which replays the journal as after a power cut."""
        subprocess.run(["mount", "-o", "loop", self._file, self.mount], check=True, timeout=60)
        self._mounted = True

    def detach(self) -> None:
        """Unmount it; whoever still has a file open gets a few seconds to let go."""
        if self._mounted:
            command = ["umount", str(self.mount)]
            until(
                f"{self.mount} can be unmounted",
                lambda: subprocess.run(command, capture_output=True, timeout=60).returncode == 0,
                15,
                0.1,
            )
            self._mounted = False

    def cut_power(self) -> None:
        """From now on nothing reaches the disk, not even what the journal has in memory."""
        folder = os.open(self.mount, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(folder, _EXT4_IOC_SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        finally:
            os.close(folder)

    def free(self) -> int:
        """Bytes that are free."""
        status = os.statvfs(self.mount)
        return status.f_bavail * status.f_frsize

    def fill(self, leave: int = 0) -> Path:
        """Fill it but for ``leave`` bytes; returns the file to remove to make room."""
        filler = self.mount / "filler"
        with filler.open("ab", buffering=0) as file:
            size = 1 << 20
            while size >= 4096:
                if self.free() - leave < size:
                    size //= 2
                    continue
                try:
                    file.write(b"\xff" * size)
                except OSError:
                    size //= 2
        return filler

    def remove(self) -> None:
        """Unmount for good; a last resort is a lazy unmount, so that nothing stays mounted."""
        try:
            self.detach()
        except AssertionError:
            subprocess.run(["umount", "-l", self.mount], capture_output=True, timeout=60)
            raise
        finally:
            self._file.unlink(missing_ok=True)
