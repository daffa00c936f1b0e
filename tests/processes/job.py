"""Jobs that end in every way a process can end; none of them calls flush or close unless its name says so.

python job.py NAME      with WRITE_URL and GATEWAY in the environment
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import promwrite
from prometheus_client import CollectorRegistry, Gauge, push_to_gateway

ROWS = 10
WORKERS = 4
# Made before any fork, as a module-level object of a real program is.
writer = promwrite.Writer(os.environ["WRITE_URL"], instance="")


def work(worker: object) -> None:
    """Ten samples of ten series and one push of a group."""
    for row in range(ROWS):
        writer.append("rows", row, {"worker": str(worker), "row": str(row)})
    registry = CollectorRegistry()
    Gauge("done", "Done.", registry=registry).set(1)
    push_to_gateway(
        os.environ["GATEWAY"], "job", registry, {"worker": str(worker)}, handler=promwrite.handler
    )


def ready() -> None:
    print("ready", flush=True)


def end() -> None:
    work("main")


def sys_exit() -> None:
    work("main")
    sys.exit(3)


def uncaught() -> None:
    work("main")
    raise RuntimeError("of the job")


def interrupted() -> None:
    work("main")
    ready()
    signal.pause()


def in_processes(method: str) -> None:
    work("main")
    context: Any = multiprocessing.get_context(method)
    children = [context.Process(target=work, args=(n,)) for n in range(WORKERS)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    sys.exit(max(child.exitcode for child in children))


def fork() -> None:
    in_processes("fork")


def forkserver() -> None:
    in_processes("forkserver")


def spawn() -> None:
    in_processes("spawn")


def pool() -> None:
    work("main")
    made = multiprocessing.get_context("fork").Pool(2)
    made.map(work, range(WORKERS))
    # terminate() and leaving a `with` kill the workers, which runs no hook of theirs
    made.close()
    made.join()


def executor() -> None:
    work("main")
    with concurrent.futures.ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as made:
        list(made.map(work, range(WORKERS)))


def os_fork() -> None:
    work("main")
    children = []
    for n in range(WORKERS):
        pid = os.fork()
        if pid == 0:
            work(n)
            return
        children.append(pid)
    for pid in children:
        if os.waitpid(pid, 0)[1] != 0:
            sys.exit(9)


def os_fork_of_an_idle_parent() -> None:
    """The parent itself has nothing; a handler of its own must not run for it in the child."""
    if os.fork() == 0:
        work("child")
        return
    os.wait()


def at_exit_of_the_user() -> None:
    import atexit

    atexit.register(work, "main")


def close_then_os_exit() -> None:
    work("main")
    writer.close(timeout=30)
    promwrite.handler.close(timeout=30)
    os._exit(0)


def daemon_threads() -> None:
    """Threads that still push while the interpreter goes away; what they lose is theirs, but nothing may hang."""
    work("main")
    assert promwrite.flush(timeout=30)
    series = writer.series("racing", {})
    racing = threading.Barrier(5)

    def push() -> None:
        racing.wait()
        while True:
            series.append(time.time())

    for _ in range(4):
        threading.Thread(target=push, daemon=True).start()
    racing.wait()


def fork_while_sending() -> None:
    """The parent's request is in flight and held; the child sends its own."""
    writer.append("from", 1, {"process": "parent"})
    flushing = threading.Thread(target=writer.flush, kwargs={"timeout": 60})
    flushing.start()
    ready()
    sys.stdin.readline()
    pid = os.fork()
    if pid == 0:
        # nothing of the parent's is the child's
        assert writer.stats() == {}
        writer.append("from", 1, {"process": "child"})
        report = writer.flush(timeout=60)
        assert (report.accepted, report.delivered, bool(report)) == (1, 1, True), report
        sys.exit(0)
    _, status = os.waitpid(pid, 0)
    print("child ended with", status, flush=True)
    sys.stdin.readline()
    flushing.join()
    assert writer.stats()["delivered"] == 1


def interrupted_flush() -> None:
    work("main")
    ready()
    try:
        writer.flush(timeout=60)
    except KeyboardInterrupt:
        print("interrupted", writer.stats()["pending"], flush=True)
    # what is pending is still there, and delivered at the end
    sys.stdin.readline()


def signal_masks() -> None:
    work("main")
    assert promwrite.flush(timeout=30)
    for task in Path("/proc/self/task").iterdir():
        if int(task.name) != os.getpid():
            status = dict(
                line.split(":", 1) for line in (task / "status").read_text().splitlines() if ":" in line
            )
            print(status["SigBlk"].strip())
    handlers = dict(
        line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line
    )
    print("caught", handlers["SigCgt"].strip())


def threads() -> None:
    """How many threads there are after the import, after making everything, and after the first push."""

    def count() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    counts = [count()]
    series = writer.series("rows", {"worker": "main"})
    counts.append(count())
    series.append(1)
    counts.append(count())
    print(counts)


def inherited() -> None:
    work("main")
    assert promwrite.flush(timeout=30)
    mine = [str(fd.readlink()) for fd in Path("/proc/self/fd").iterdir() if fd.exists() or fd.is_symlink()]
    assert any(target.startswith("socket:") for target in mine), mine
    subprocess.run(["ls", "-l", "/proc/self/fd"], close_fds=False, check=True)


def one_push() -> None:
    """How long a push holds the job, without rendering."""
    held = 0.0

    def measured(**request: Any) -> Callable[[], None]:
        def run() -> None:
            nonlocal held
            began = time.perf_counter()
            promwrite.handler(**request)()
            held = time.perf_counter() - began

        return run

    registry = CollectorRegistry()
    Gauge("done", "Done.", registry=registry).set(1)
    push_to_gateway(os.environ["GATEWAY"], "job", registry, handler=measured)
    print(held, flush=True)


def secrets() -> None:
    """Everything that could show a secret does its best to."""
    import logging
    import pickle
    import traceback

    logging.basicConfig(level=logging.DEBUG)
    secret = os.environ["CANARY"]
    url = os.environ["WRITE_URL"]
    made: list[Any] = [
        promwrite.Writer(url, basic_auth=("user", secret)),
        promwrite.Writer(url, bearer_token=secret),
        promwrite.Writer(url, headers={"X-BK-TOKEN": secret}),
        promwrite.Writer(url.replace("://", f"://user:{secret}@")),
        promwrite.Handler(basic_auth=("user", secret)),
        promwrite.Handler(headers={"X-BK-TOKEN": secret}),
        promwrite.Pusher(os.environ["GATEWAY"], "a", basic_auth=("user", secret)),
        promwrite.Pusher(f"http://user:{secret}@{os.environ['GATEWAY']}", "a"),
    ]
    registry = CollectorRegistry()
    for each in made:
        print(repr(each), str(each), vars(each) if hasattr(each, "__dict__") else "")
        try:
            print(pickle.dumps(each))
        except promwrite.Error as error:
            print("names both ways:", "_file" in str(error) and "_env" in str(error))
            traceback.print_exc()
        else:
            raise AssertionError(f"{each!r} was pickled")
        if isinstance(each, promwrite.Writer):
            each.append("m", 1)
        elif isinstance(each, promwrite.Pusher):
            each.push(registry)
        else:
            push_to_gateway(os.environ["GATEWAY"], "a", registry, handler=each)
        print(each.flush(timeout=0.3), each.stats())
    for wrong in ({"headers": {"X-Bad": f"{secret}\r\nX-Other: 1"}}, {"basic_auth": ("a\nb", secret)}):
        try:
            promwrite.Writer(url, **wrong)
        except Exception:
            traceback.print_exc()
        else:
            raise AssertionError(f"{list(wrong)} was taken")
    try:
        promwrite.Handler(headers={"X-BK-TOKEN": secret}, blocking=True)(
            url=f"http://user:{secret}@{os.environ['GATEWAY']}/metrics/job/a",
            method="PUT",
            timeout=1,
            headers=[],
            data=b"",
        )()
    except Exception:
        traceback.print_exc()
    else:
        raise AssertionError("a refused push did not raise")


if __name__ == "__main__":
    globals()[sys.argv[1]]()
