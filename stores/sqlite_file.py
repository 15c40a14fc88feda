"""The file of a SQLite store and the lock beside it: making the one, holding the other.

What the file system refuses is said here, by the file and not by the call that failed.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from stores.base import StoreBusy, StoreError

OPENING_SECONDS = 60.0
PRIVATE = 0o600


def make(path: Path) -> None:
    """For its user alone: it holds what everybody said. A file that exists stays as it is, and
    SQLite gives `-wal` and `-shm` the mode of the file."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, PRIVATE))
    except FileExistsError:
        # Not opened to find out: closing it would end the locks of this process's connections.
        if not os.access(path, os.W_OK):
            message = f"cannot write {path}: its mode or its file system forbids it"
            raise StoreError(message) from None
    except OSError as error:
        raise _refused(path, path, error) from error


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time opens the file: switching to WAL and migrating bear no other."""
    import fcntl  # POSIX only, and `import stores` should work elsewhere

    lock = Path(f"{path}.lock")
    try:
        if path.is_dir():
            raise StoreError(f"{path} is a folder; name a file in it")
        mode = path.stat().st_mode if path.exists() else PRIVATE
        file = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode & 0o666)
    except OSError as error:
        raise _refused(path, lock, error) from error
    try:
        _wait_for(partial(fcntl.flock, file, fcntl.LOCK_EX | fcntl.LOCK_NB), lock)
        yield
    finally:
        os.close(file)


def _refused(path: Path, opened: Path, error: OSError) -> StoreError:
    if isinstance(error, FileNotFoundError) and not path.parent.exists():
        return StoreError(f"the folder of {path} does not exist; make it, or name another file")
    return StoreError(f"cannot open {opened}: {error.strerror}")


def _wait_for(lock: Callable[[], None], held: Path) -> None:
    deadline = time.monotonic() + OPENING_SECONDS
    while True:
        try:
            lock()
            return
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise StoreBusy(
                    f"another process has been opening the database for {OPENING_SECONDS:.0f} s"
                    f" and holds {held}; see whether it hangs"
                ) from error
        time.sleep(0.01)
