"""A fault at every single file operation: a bundle is then the old one or the new one, whole.

Operations that are not listed in `Failpoint` cannot be reached through it at all, so that none
is forgotten.
"""

import errno
import fcntl
import inspect
import itertools
import json
import os
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from blocking_files import SHARED, BundleFiles

from pyfly.config_core import (
    BackendAccessDeniedError,
    BackendUnavailableError,
    ConfigError,
    ConfigKey,
)
from pyfly.config_server import ConfigSource
from pyfly.config_server.files import (
    atomic,
    directory_tree,
    directory_views,
    emptied,
    label_directories,
    safe_io,
    settling,
    walk,
)
from pyfly.config_server.storage import ABSENT, ANY

PLACES = (
    *(atomic, directory_tree, directory_views, emptied, label_directories, safe_io, settling),
    walk,
)
OLD, NEW, STALE, OTHER = ({"password": f"hunter2 {name}"} for name in ("old", "new", "stale", "x"))
YAML, YML, JSON = (f"orders-prod{suffix}" for suffix in (".yaml", ".yml", ".json"))
TEMPORARY = ".pyfly-config.tmp"

CASES: dict[str, tuple[str, dict[str, Any], str]] = {  # the first file is the one that is read
    "the first bundle of a label": ("main", {}, "save"),
    "the first bundle of a nested label": ("feature/x/y", {}, "save"),
    "another bundle": ("main", {YAML: OLD}, "save"),
    "another bundle in JSON": ("main", {JSON: OLD}, "save"),
    "another bundle beside stale ones": ("main", {YAML: OLD, YML: STALE, JSON: STALE}, "save"),
    "another bundle after a kill": ("main", {YAML: OLD, TEMPORARY: STALE}, "save"),
    "a commit": ("main", {YML: OLD, JSON: STALE}, "commit"),
    "a delete": ("main", {YAML: OLD}, "delete"),
    "a delete beside stale ones": ("main", {YAML: OLD, YML: STALE, JSON: STALE}, "delete"),
}
each_case = pytest.mark.parametrize(
    ("label", "stored", "operation"), CASES.values(), ids=CASES.keys()
)


class Failpoint:
    """Counts the file operations of the product; at one of them something happens.

    Before it, or `late`, after it; with `lasting` at all later ones too; counting `only` some.
    """

    OPERATIONS = frozenset(
        {"open", "close", "dup", "stat", "fstat", "pread", "write", "utime", "fsync", "fchmod"}
        | {"mkdir", "rmdir", "unlink", "replace", "scandir", "listdir", "flock", "rmtree"}
    )
    HARMLESS = frozenset({"path", "strerror"} | {"samestat"})

    def __init__(
        self,
        at: int,
        happening: Callable[[], object],
        *,
        late: bool = False,
        lasting: bool = False,
        only: frozenset[str] = OPERATIONS,
    ) -> None:
        self.at, self.happening, self.count = at, happening, 0
        self.late, self.lasting, self.only = late, lasting, only
        self.happened = False

    @property
    def reached(self) -> bool:
        return self.count >= self.at

    def happen(self) -> None:
        self.happened = True
        self.happening()

    def install(self, put: Callable[[Any, str, Any], None]) -> None:
        for place in PLACES:
            put(place, "os", self.stand_in(os))
        put(fcntl, "flock", self.counted("flock", fcntl.flock))
        put(label_directories, "shutil", self.stand_in(shutil))

    def stand_in(self, module: Any) -> SimpleNamespace:
        known = {n: v for n, v in vars(module).items() if n.isupper() or n in self.HARMLESS}
        for name in self.OPERATIONS & vars(module).keys():
            known[name] = self.counted(name, getattr(module, name))
        return SimpleNamespace(**known)

    def counted(self, name: str, real: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            counts = name in self.only
            self.count += counts
            if not counts or not (self.count == self.at or (self.lasting and self.reached)):
                return real(*args, **options)
            if not self.late and name != "close":  # which closes, whatever it reports
                self.happen()
                return real(*args, **options)
            result = real(*args, **options)
            try:
                self.happen()
            except OSError:
                if name in {"open", "dup"}:
                    os.close(result)
                elif name == "scandir":
                    result.close()
                raise
            return result

        return call


def prepare(root: Path, label: str, stored: dict[str, Any]) -> None:
    root.mkdir()
    for name, properties in stored.items():
        path = root / label / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(properties), encoding="utf-8")
        os.utime(path, (0, 0))  # complete for long


def key(label: str) -> ConfigKey:
    return ConfigKey(application="orders", profile="prod", label=label)


def operate(root: Path, label: str, operation: str) -> None:
    store = BundleFiles(root)
    new = {"password": "hunter2 new"}
    source = ConfigSource(application="orders", profile="prod", label=label, properties=new)
    if operation == "delete":
        store.delete(key(label), ANY)
    elif operation == "commit":
        (current,) = store.fetch_many([key(label)])
        store.save(source, ABSENT if current is None else str(current.version))
    else:
        store.save(source, ANY)


def fetched(root: Path, label: str) -> Any:
    (source,) = BundleFiles(root).fetch_many([key(label)])
    return None if source is None else dict(source.properties)


def names(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir()) if directory.exists() else []


def has_no_empty_directory(root: Path) -> bool:
    return all(names(path) for path in root.rglob("*") if path.is_dir())


def failing(number: int) -> Callable[[], None]:
    def fail() -> None:
        raise OSError(number, os.strerror(number))

    return fail


def attempt(point: Failpoint, call: Callable[[], Any]) -> tuple[Any, ConfigError | None]:
    """Return what the call returns, or the error; what is not of the tree is raised."""
    with pytest.MonkeyPatch.context() as patch:
        point.install(patch.setattr)
        try:
            return call(), None
        except ConfigError as error:
            return None, error


def names_the_cause(error: ConfigError, number: int, root: Path) -> bool:
    denied = number in {errno.EACCES, errno.EPERM, errno.EROFS}
    return (
        isinstance(error, BackendAccessDeniedError if denied else BackendUnavailableError)
        and isinstance(error.__cause__, OSError)
        and os.strerror(number) in str(error)
        and str(root) not in str(error)
        and "hunter2" not in "".join(traceback.format_exception(error))
    )


# --- one operation fails ------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("late", [False, True], ids=["not-done", "done-but-reported-as-failed"])
@each_case
def test_a_write_that_fails_at_any_file_operation_leaves_the_old_bundle_or_the_new_one(
    tmp_path: Path, label: str, stored: dict[str, Any], operation: str, late: bool
) -> None:
    old, new = next(iter(stored.values()), None), None if operation == "delete" else NEW
    for at in itertools.count(1):
        root = tmp_path / str(at)
        prepare(root, label, stored)
        point = Failpoint(at, failing(errno.EIO), late=late)
        _, error = attempt(point, lambda root=root: operate(root, label, operation))
        assert point.happened == (error is not None)
        assert error is None or names_the_cause(error, errno.EIO, root)
        assert fetched(root, label) in ([new] if error is None else [old, new])
        assert set(names(root / label)) <= {YAML, *stored}
        assert operation == "delete" or has_no_empty_directory(root)
        operate(root, label, "save")
        assert fetched(root, label) == NEW
        assert names(root / label) in ([YAML], [YML], [JSON])
        if not point.reached:
            assert at > 10
            return


READS: dict[str, Callable[[BundleFiles], Any]] = {
    "fetch_many": lambda store: store.fetch_many([*map(key, ("main", "feature/x", "none"))]),
    "entries": lambda store: store.entries(store.keys()),
    "sources": lambda store: store.sources(store.keys()),
    "labels": lambda store: store.labels(),
    "has_label": lambda store: store.has_label("feature/x"),
    "check": lambda store: store.check(),
}


@pytest.mark.parametrize("late", [False, True], ids=["not-done", "done-but-reported-as-failed"])
@pytest.mark.parametrize("read", READS.values(), ids=READS.keys())
def test_a_read_that_fails_at_any_file_operation_is_an_error_or_an_announced_gap(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    read: Callable[[BundleFiles], Any],
    late: bool,
) -> None:
    root = tmp_path / "root"
    prepare(root, "main", {YAML: OLD, JSON: STALE})
    prepare(root / "feature", "x", {YML: OLD})
    whole = read(BundleFiles(root))
    for at in itertools.count(1):
        caplog.clear()
        point = Failpoint(at, failing(errno.EIO), late=late)
        result, error = attempt(point, lambda: read(BundleFiles(root)))
        if not point.reached:
            assert result == whole
            return
        assert error is None or names_the_cause(error, errno.EIO, root)
        if error is None and result != whole:
            told = caplog.text + "".join(str(getattr(row, "error", "")) for row in result)
            assert os.strerror(errno.EIO) in told
            assert "hunter2" not in told


# --- the process dies ---------------------------------------------------------------------

KILLS = "\n".join(
    (
        "import fcntl, itertools, json, os, shutil, signal, sys",
        "from collections.abc import Callable",
        "from pathlib import Path",
        "from types import SimpleNamespace",
        "from typing import Any",
        "from pyfly.config_core import ConfigKey",
        "from pyfly.config_server import ConfigSource",
        "from blocking_files import BundleFiles",
        "from pyfly.config_server.files import atomic, directory_tree, directory_views",
        "from pyfly.config_server.files import emptied, label_directories, safe_io, settling, walk",
        "from pyfly.config_server.storage import ABSENT, ANY",
        "PLACES = (atomic, directory_tree, directory_views, label_directories, safe_io)",
        "PLACES += (emptied, settling, walk)",
        *map(inspect.getsource, (Failpoint, prepare, key, operate, fetched, names)),
        """
label, stored, operation = json.load(sys.stdin)
rows = []
for at in itertools.count(1):
    root = Path(sys.argv[1], str(at))
    prepare(root, label, stored)
    child = os.fork()
    if child == 0:
        try:
            Failpoint(at, lambda: os.kill(os.getpid(), signal.SIGKILL)).install(setattr)
            operate(root, label, operation)
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    row = {"status": status, "found": fetched(root, label), "names": names(root / label)}
    row["labels"] = [one for one in walk.walk_labels(root) if one == label]
    operate(root, label, "save")
    rows.append(row | {"repaired": fetched(root, label), "after": names(root / label)})
    if status != signal.SIGKILL:
        break
print(json.dumps(rows))
""",
    )
)


@pytest.mark.slow
@each_case
def test_a_process_killed_at_any_file_operation_leaves_the_old_bundle_or_the_new_one(
    tmp_path: Path, label: str, stored: dict[str, Any], operation: str
) -> None:
    run = subprocess.run(
        [sys.executable, "-c", KILLS, str(tmp_path)],
        input=json.dumps([label, stored, operation]),
        capture_output=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONPATH": str(SHARED)},
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    rows = json.loads(run.stdout)
    old, new = next(iter(stored.values()), None), None if operation == "delete" else NEW
    assert len(rows) > 10
    assert (rows[-1]["status"], rows[-1]["found"]) == (0, new)
    for row in rows:
        assert row["found"] in (old, new)
        assert set(row["names"]) <= {YAML, TEMPORARY, *stored}
        # A removal that stops half way may leave the label without its bundle.
        assert operation == "delete" or row["labels"] == (
            [] if row["found"] is None and not row["names"] else [label]
        )
        assert row["repaired"] == NEW
        assert row["after"] in ([YAML], [YML], [JSON])


# --- the disk stays broken ----------------------------------------------------------------

WRITES = frozenset(("mkdir", "write", "fsync", "fchmod", "replace"))
OPENS = frozenset(("open", "dup", "scandir"))


@pytest.mark.parametrize(
    ("number", "only"),
    [
        *((number, WRITES) for number in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)),
        *((number, OPENS) for number in (errno.EMFILE, errno.ENFILE, errno.EACCES, errno.EIO)),
    ],
)
def test_a_disk_that_stays_broken_serves_the_old_bundle_until_it_is_repaired(
    tmp_path: Path, number: int, only: frozenset[str]
) -> None:
    stored = {YAML: OLD, JSON: STALE}
    for at in itertools.count(1):
        root = tmp_path / str(at)
        prepare(root, "main", stored)
        point = Failpoint(at, failing(number), lasting=True, only=only)
        _, error = attempt(point, lambda root=root: operate(root, "main", "save"))
        if not point.reached:
            assert fetched(root, "main") == NEW
            return
        assert error is not None
        assert names_the_cause(error, number, root)
        result, refused = attempt(point, lambda root=root: fetched(root, "main"))
        assert result in (OLD, NEW) if only is WRITES else refused is not None
        assert refused is None or names_the_cause(refused, number, root)
        assert set(names(root / "main")) <= {*stored}
        assert fetched(root, "main") in (OLD, NEW)
        operate(root, "main", "save")
        assert (fetched(root, "main"), names(root / "main")) == (NEW, [YAML])


# --- the tree changes under the feet ------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("rest", [None, OTHER], ids=["the-label-vanishes", "the-root-is-replaced"])
@pytest.mark.parametrize("operation", ["fetch", "save", "commit", "delete"])
def test_a_tree_that_changes_at_any_file_operation_gives_one_of_its_states_or_an_error(
    tmp_path: Path, operation: str, rest: Any
) -> None:
    for at in itertools.count(1):
        root, moved = tmp_path / str(at), tmp_path / f"{at}-moved"
        prepare(root, "main", {YAML: OLD})
        just_before: list[Any] = []

        def change(root: Path = root, moved: Path = moved, seen: list[Any] = just_before) -> None:
            seen.append(fetched(root, "main"))
            if rest is None:
                shutil.rmtree(root / "main")
            else:
                root.rename(moved)
                prepare(root, "main", {YAML: rest})

        def call(root: Path = root) -> Any:
            if operation == "fetch":
                return fetched(root, "main")
            return operate(root, "main", operation)

        point = Failpoint(at, change)
        result, error = attempt(point, call)
        if operation == "fetch":
            assert error is None
            assert result in (OLD, rest)
        elif error is not None:
            assert "hunter2" not in "".join(traceback.format_exception(error))
        elif operation != "delete":
            stored = [fetched(place, "main") for place in (root, moved) if place.exists()]
            assert NEW in (*stored, *just_before)
        if not point.reached:
            return
        operate(root, "main", "save")
        assert (fetched(root, "main"), names(root / "main")) == (NEW, [YAML])
