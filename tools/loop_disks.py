"""A small disk of its own for each of some folders: ext4 in a file, mounted by a loop device. It
can be frozen, so that every write to it hangs, and filled. Only root can make one."""

import contextlib
import errno
import os
import signal
import subprocess
import time

SIZE = 3 << 30  # sparse
FROZEN_AT_MOST = 90  # seconds
STEPS = (1 << 26, 1 << 20, 1 << 12)  # in which a disk is filled


def run(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60, check=False)
    if done.returncode != 0:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")


class NoDisks(Exception):
    """Here no disk can be made."""


class LoopDisks:
    def __init__(self, images):
        self._images = images  # the folder of the files
        self._mounted = []

    def mount(self, folder):
        """`folder` may be there already; nothing may be in it."""
        os.makedirs(self._images, exist_ok=True)
        os.makedirs(folder, mode=0o711, exist_ok=True)
        image = os.path.join(self._images, f"{len(self._mounted)}.img")
        with open(image, "wb") as file:
            file.truncate(SIZE)
        try:
            run("mkfs.ext4", "-q", "-F", "-m", "0", image)
            run("mount", "-o", "loop", image, folder)
        except OSError as error:
            raise NoDisks(str(error)) from error
        self._mounted.append(folder)
        os.rmdir(os.path.join(folder, "lost+found"))
        os.chmod(folder, 0o711)

    @contextlib.contextmanager
    def frozen(self, folder):
        """Should this process die meanwhile, the disk is thawed all the same."""
        rescue = subprocess.Popen(["sh", "-c", f"sleep {FROZEN_AT_MOST}; fsfreeze -u '{folder}'"],
                                  start_new_session=True, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            run("fsfreeze", "--freeze", folder)
            yield
        finally:
            with contextlib.suppress(OSError):
                run("fsfreeze", "--unfreeze", folder)
            os.killpg(rescue.pid, signal.SIGKILL)
            rescue.wait()

    @contextlib.contextmanager
    def full(self, folder):
        path = os.path.join(folder, "filler")
        try:
            with open(path, "wb") as file:
                for step in STEPS:
                    fill(file, step)
            yield
        finally:
            os.remove(path)

    def unmount(self):
        for folder in self._mounted:
            with contextlib.suppress(OSError):
                run("fsfreeze", "--unfreeze", folder)
        for folder in self._mounted:
            try:
                unmount_patiently(folder)
            except OSError:
                run("umount", "--lazy", folder)
        self._mounted = []


def unmount_patiently(folder):
    """What was killed in it may take a moment to be gone."""
    end = time.monotonic() + 10
    while True:
        try:
            return run("umount", folder)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def fill(file, step):
    """Until so many bytes at a time do not fit any more."""
    while True:
        try:
            os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, step)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                return
            raise
