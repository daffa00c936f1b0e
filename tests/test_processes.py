"""How processes end, fork and are interrupted: what a job handed over arrives, or the job is told that it does not."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
from promwrite.testing import Receiver, labels
from receiver import FaultReceiver, hold

PROCESSES = Path(__file__).resolve().parent / "processes"
ROWS, WORKERS = 10, 4
# Ten times what is promised, because a shared machine may stop a process for as long as it likes.
EXIT_BOUND = 35.0
CALL_BOUND = 2.0


def environment(write_url: str, gateway: str, **more: str) -> dict[str, str]:
    return {**os.environ, "WRITE_URL": write_url, "GATEWAY": gateway, "PYTHONUNBUFFERED": "1", **more}


@contextmanager
def running(name: str, variables: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-W", "error", PROCESSES / "job.py", name],
        env=variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def run(name: str, variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    with running(name, variables) as child:
        out, err = child.communicate(timeout=100)
        return subprocess.CompletedProcess(child.args, child.returncode, out, err)


def tell(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("go\n")
    child.stdin.flush()


def lines(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


def assert_arrived(receiver: Receiver, workers: list[str]) -> None:
    """Every row of every worker once, and the group of each; nothing else."""
    assert receiver.samples.keys() == {
        labels("rows", worker=worker, row=str(row)) for worker in workers for row in range(ROWS)
    }
    for series, samples in receiver.samples.items():
        assert [sample.value for sample in samples] == [float(dict(series)["row"])], series
    assert receiver.groups.keys() == {labels(job="job", worker=worker) for worker in workers}
    assert len(receiver.pushes) == len(workers)


ALL = ["main", *map(str, range(WORKERS))]


@pytest.mark.parametrize(
    ("name", "returncode", "workers"),
    [
        ("end", 0, ["main"]),
        ("sys_exit", 3, ["main"]),
        ("uncaught", 1, ["main"]),
        ("at_exit_of_the_user", 0, ["main"]),
        ("fork", 0, ALL),
        ("forkserver", 0, ALL),
        ("spawn", 0, ALL),
        ("pool", 0, ALL),
        ("executor", 0, ALL),
        ("os_fork", 0, ALL),
        ("os_fork_of_an_idle_parent", 0, ["child"]),
        ("close_then_os_exit", 0, ["main"]),
    ],
)
def test_what_a_process_leaves_behind_arrives(
    promwrite_receiver: Receiver, name: str, returncode: int, workers: list[str]
) -> None:
    done = run(name, environment(promwrite_receiver.write_url, promwrite_receiver.gateway))
    assert done.returncode == returncode, done.stderr
    if name == "uncaught":
        assert done.stderr.endswith("RuntimeError: of the job\n"), done.stderr
    else:
        assert done.stderr == ""
    assert_arrived(promwrite_receiver, workers)


def test_an_interrupted_job_leaves_nothing_behind(promwrite_receiver: Receiver) -> None:
    with running(
        "interrupted", environment(promwrite_receiver.write_url, promwrite_receiver.gateway)
    ) as child:
        assert lines(child.stdout).readline() == "ready\n"
        child.send_signal(signal.SIGINT)
        assert child.wait(60) == -signal.SIGINT
        assert lines(child.stderr).read().endswith("KeyboardInterrupt\n")
    assert_arrived(promwrite_receiver, ["main"])


TEN_LINES = """\
import os
import promwrite
from prometheus_client import CollectorRegistry, Counter, push_to_gateway
writer = promwrite.Writer(os.environ["WRITE_URL"], labels={"job": "etl"})
registry = CollectorRegistry()
files = Counter("files", "Files read.", registry=registry)
for entry in os.scandir(os.environ["FOLDER"]):
    writer.append("file_size_bytes", entry.stat().st_size, {"file": entry.name})
    files.inc()
push_to_gateway(os.environ["GATEWAY"], "etl", registry, handler=promwrite.handler)
"""


def test_ten_lines_that_never_call_flush(promwrite_receiver: Receiver) -> None:
    assert len(TEN_LINES.splitlines()) == 10
    variables = environment(promwrite_receiver.write_url, promwrite_receiver.gateway, FOLDER=str(PROCESSES))
    subprocess.run([sys.executable, "-c", TEN_LINES], env=variables, check=True)
    sizes = {dict(series)["file"]: samples[0].value for series, samples in promwrite_receiver.samples.items()}
    files = [entry for entry in PROCESSES.iterdir() if entry.name in sizes]
    assert len(files) >= 3
    assert all(sizes[file.name] == file.stat().st_size for file in files if file.is_file())
    assert f"files_total {float(len(sizes))}" in promwrite_receiver.group("etl").text


def assert_one_warning(told: str, url: str) -> None:
    """What the job's stderr shows when nobody configured logging: of the loss, one line with count, reason and URL."""
    warnings = [line for line in told.splitlines() if line.startswith("at exit: ")]
    # that there is an outage may have been told before, while the job still ran
    assert all("kept and tried again" in line for line in told.splitlines() if line not in warnings), told
    (warning,) = warnings
    assert re.search(r"\b1 push", warning), told
    assert "shutdown: 1" in warning, told
    assert url in warning


def test_one_push_against_a_hung_receiver(promwrite_receiver: Receiver) -> None:
    promwrite_receiver.hang()
    began = time.monotonic()
    done = run("one_push", environment(promwrite_receiver.write_url, promwrite_receiver.gateway))
    took = time.monotonic() - began
    held = float(done.stdout)
    print(f"held for {held * 1e6:.0f} µs, the whole process took {took:.2f} s")
    assert done.returncode == 0
    assert held < CALL_BOUND
    assert took < EXIT_BOUND
    assert_one_warning(done.stderr, promwrite_receiver.url)
    assert promwrite_receiver.pushes == []


def test_one_push_against_a_refusing_receiver(promwrite_receiver: Receiver) -> None:
    gateway, url = promwrite_receiver.gateway, promwrite_receiver.url
    promwrite_receiver.close()
    began = time.monotonic()
    done = run("one_push", environment(promwrite_receiver.write_url, gateway))
    took = time.monotonic() - began
    print(f"held for {float(done.stdout) * 1e6:.0f} µs, the whole process took {took:.2f} s")
    assert done.returncode == 0
    assert float(done.stdout) < CALL_BOUND
    assert took < EXIT_BOUND
    assert_one_warning(done.stderr, url)
    assert "refused" in done.stderr


def test_daemon_threads_that_push_to_the_end(promwrite_receiver: Receiver) -> None:
    for _ in range(10):
        promwrite_receiver.clear()
        done = run("daemon_threads", environment(promwrite_receiver.write_url, promwrite_receiver.gateway))
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        assert "Fatal" not in done.stderr
        assert {
            labels("rows", worker="main", row=str(row)) for row in range(ROWS)
        } <= promwrite_receiver.samples.keys()


def test_a_fork_while_sending_mixes_nothing_up() -> None:
    with (
        FaultReceiver([hold()]) as receiver,
        running("fork_while_sending", environment(receiver.url + "/api/v1/write", receiver.address)) as child,
    ):
        assert lines(child.stdout).readline() == "ready\n"
        assert receiver.wait(1, "held")
        tell(child)
        assert lines(child.stdout).readline() == "child ended with 0\n"
        # the child was answered while the parent's request was still held
        assert [request.answered for request in receiver.requests()].count(None) == 1
        receiver.release()
        tell(child)
        assert child.wait(60) == 0, lines(child.stderr).read()
        of = {
            request.series[0].labels["process"]: request.connection
            for request in receiver.requests()
            if request.series
        }
        assert set(of) == {"parent", "child"}
        assert of["parent"] != of["child"]
        assert len(receiver.requests()) == 2


def test_ctrl_c_during_a_flush(promwrite_receiver: Receiver) -> None:
    promwrite_receiver.hang()
    with running(
        "interrupted_flush", environment(promwrite_receiver.write_url, promwrite_receiver.gateway)
    ) as child:
        assert lines(child.stdout).readline() == "ready\n"
        promwrite_receiver.wait_for(hanging=2)
        began = time.monotonic()
        child.send_signal(signal.SIGINT)
        assert lines(child.stdout).readline() == f"interrupted {ROWS}\n"
        took = time.monotonic() - began
        print(f"interrupted after {took * 1000:.0f} ms")
        assert took < CALL_BOUND
        promwrite_receiver.recover()
        tell(child)
        assert child.wait(60) == 0, lines(child.stderr).read()
    assert_arrived(promwrite_receiver, ["main"])


def test_no_asynchronous_signal_lands_on_our_threads(promwrite_receiver: Receiver) -> None:
    done = run("signal_masks", environment(promwrite_receiver.write_url, promwrite_receiver.gateway))
    assert done.returncode == 0, done.stderr
    *masks, caught = done.stdout.splitlines()
    assert masks
    blocked = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE}
    blocked |= {signal.SIGURG, signal.SIGALRM, signal.SIGCHLD, signal.SIGWINCH}
    faults = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}
    for mask in masks:
        has = {number for number in signal.valid_signals() if int(mask, 16) >> (number - 1) & 1}
        assert blocked <= has, mask
        assert not faults & has, mask
    # Python's own handler of SIGINT is the only one in a bare interpreter
    bare = "print(next(l.split()[1] for l in open('/proc/self/status') if l.startswith('SigCgt')))"
    plain = subprocess.run([sys.executable, "-c", bare], capture_output=True, text=True, check=True)
    # glibc itself has one for a signal that is nobody's, once there is a thread
    mine, bare_mask = (int(mask.split()[-1], 16) for mask in (caught, plain.stdout))
    assert all((mine ^ bare_mask) >> (number - 1) & 1 == 0 for number in signal.valid_signals())


def test_no_thread_before_the_first_sample(promwrite_receiver: Receiver) -> None:
    done = run("threads", environment(promwrite_receiver.write_url, promwrite_receiver.gateway))
    assert done.stdout == "[1, 1, 2]\n"


def test_nothing_is_inherited_by_another_program(promwrite_receiver: Receiver) -> None:
    done = run("inherited", environment(promwrite_receiver.write_url, promwrite_receiver.gateway))
    assert done.returncode == 0, done.stderr
    assert "pipe:" in done.stdout
    assert "socket:" not in done.stdout


def test_a_secret_shows_nowhere(promwrite_receiver: Receiver) -> None:
    promwrite_receiver.fail(401)
    canary = "canary-7f3a9c51"
    variables = environment(promwrite_receiver.write_url, promwrite_receiver.gateway, CANARY=canary)
    done = run("secrets", variables)
    assert done.returncode == 0, done.stderr
    assert "401" in done.stdout + done.stderr
    assert done.stdout.count("names both ways: True") == 8
    assert canary not in done.stdout
    assert canary not in done.stderr


@contextmanager
def service(
    command: list[str], variables: Mapping[str, str], folder: Path
) -> Iterator[subprocess.Popen[str]]:
    """A server of processes, ended by its pid; its log is shown by a test that fails."""
    with (folder / "log").open("w") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", *command], env=variables, cwd=PROCESSES, stdout=log, stderr=log, text=True
        )
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(60)
        finally:
            child.kill()
            print((folder / "log").read_text())


def test_gunicorn_with_preload(promwrite_receiver: Receiver, tmp_path: Path) -> None:
    import http.client

    numbers = [str(number) for number in range(20)]
    command = [
        "gunicorn",
        "--preload",
        "--workers=2",
        "--bind=127.0.0.1:0",
        "--no-control-socket",
        "web:application",
    ]
    with service(
        command, environment(promwrite_receiver.write_url, promwrite_receiver.gateway), tmp_path
    ) as child:
        # what the master had before the fork is the master's, and comes once: then it listens
        promwrite_receiver.wait_for(samples=1, timeout=60)
        port = listening(tmp_path / "log", child)
        pids = set()
        for number in numbers:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("GET", f"/{number}")
            pids.add(connection.getresponse().read())
            connection.close()
        assert str(child.pid).encode() not in pids
    assert promwrite_receiver.samples.keys() == {labels("loaded")} | {
        labels("requests", number=n) for n in numbers
    }
    assert all(len(samples) == 1 for samples in promwrite_receiver.samples.values())
    assert promwrite_receiver.groups.keys() == {labels(job="web", number=n) for n in numbers}


def listening(log: Path, child: subprocess.Popen[str]) -> int:
    """The port that gunicorn chose, from its log. It tells nobody else, hence the asking again."""
    from servers import wait_until

    def found() -> re.Match[str] | None:
        assert child.poll() is None, log.read_text()
        return re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", log.read_text())

    wait_until(lambda: found() is not None, "gunicorn listens")
    match = found()
    assert match is not None
    return int(match[1])


@pytest.mark.parametrize("tasks_per_child", [1, 5, 1000])
def test_celery_prefork_with_recycling(
    promwrite_receiver: Receiver, tmp_path: Path, tasks_per_child: int
) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    variables = environment(
        promwrite_receiver.write_url, promwrite_receiver.gateway, BROKER_FOLDER=str(folder)
    )
    send = "import tasks\nfor number in range(20): tasks.work.delay(number)"
    subprocess.run([sys.executable, "-c", send], env=variables, cwd=PROCESSES, check=True)
    command = ["celery", "-A", "tasks", "worker", "--pool=prefork", "--concurrency=2", "--loglevel=INFO"]
    command += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    command += [f"--max-tasks-per-child={tasks_per_child}"]
    with service(command, variables, tmp_path):
        promwrite_receiver.wait_for(samples=20, pushes=20, timeout=90)
    assert promwrite_receiver.samples.keys() == {labels("tasks", number=str(n)) for n in range(20)}
    assert all(len(samples) == 1 for samples in promwrite_receiver.samples.values())
    assert promwrite_receiver.groups.keys() == {labels(job="celery", number=str(n)) for n in range(20)}
