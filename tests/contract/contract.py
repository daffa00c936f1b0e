"""One contract, every language: what a case can do, and how it talks to the agents.

An agent is a small program in one language. It reads a command a line from its standard input, does it through the
public API of its language, and writes a line with what came of it. A line is fields separated by tabs; what is not
printable ASCII in a field, and ``%``, stands percent-encoded. Values are the 16 hexadecimal digits of their bits, times
are milliseconds, or ``now``; labels, groups and options are a name and a value each.

    writer NAME URL [option value]…         pusher NAME GATEWAY JOB PAIRS [name value]… [option value]…
    series NAME WRITER METRIC [label value]…
    append SERIES VALUE AT                  append_many SERIES [value at]…
    sample WRITER METRIC VALUE AT [label value]…            drop WRITER, without close
    push_text WRITER PAGE CONTENT_TYPE [label value]…       answers how many samples were taken
    put PUSHER PAGE CONTENT_TYPE            post PUSHER PAGE CONTENT_TYPE            delete PUSHER
    flush NAME|* TIMEOUT                    close NAME TIMEOUT            stats NAME            shutdown TIMEOUT
    fork        the child answers and obeys until exit; then the parent answers with the child's exit code
    exit HOW CODE       ends without an answer: return (from main), exit, or _exit

An answer is ``ok`` with fields, or ``error CODE RETRYABLE MESSAGE``. A report is the fields ``kind samples|pushes``,
then counters and their numbers (zeros may be left out) and ``failure`` with its text; the next ``kind`` begins the next
sender.
"""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from receiver import FaultReceiver, Request

HERE = Path(__file__).resolve().parent
BUILT = Path(os.environ.get("PROMWRITE_CONTRACT", HERE.parents[1] / "target" / "contract"))
AGENTS: dict[str, list[str]] = {
    "rust": [str(BUILT / "rust")],
    "python": [sys.executable, str(HERE / "agents" / "python" / "agent.py")],
    "c": [str(BUILT / "c")],
    "go": [str(BUILT / "go")],
}

AT = 1_700_000_000_000
"""A time for samples, the same in every run, so that equal input gives equal bytes."""
LATE = 10.0
"""Seconds that a call may take beyond what was asked for: a shared machine may stop a process for long."""
LONG = 60_000
"""A timeout in milliseconds that is not meant to pass."""
SECRET = "canary-5d1f"
"""No answer and no line of an agent may hold this."""
TEXT = "text/plain; version=0.0.4; charset=utf-8"
PAGE = "# HELP m Value.\n# TYPE m gauge\nm 1.5\n"
"""A page that every client renders so: Python has 1.0 where Go has 1."""
OPTIONS = {
    "instance": "",
    # a request is made when a flush asks for it, and holds all that was appended
    "queue_config.batch_send_deadline": "1h",
    # so that a test of retries takes no longer than it must
    "queue_config.min_backoff": "10ms",
    "queue_config.max_backoff": "50ms",
    "queue_config.hold_interval": "10ms",
    "exit_idle_timeout": "20s",
}


class Now:
    """The time of the call, by the library's own clock."""


NOW = Now()


@dataclass(frozen=True)
class Refused:
    """An error, as every language tells it."""

    code: int
    retryable: bool
    message: str


INVALID, UNKNOWN_OPTION, INVALID_TIMESTAMP, EXPOSITION, TOO_LARGE, QUEUE_FULL, CLOSED = range(-1, -8, -1)


LEDGER = re.compile(r"(accepted|adopted|delivered|superseded|pending|spooled|(rejected|dropped)\.\w+)$")


class Report(Counter[str]):
    """The counters of one kind; what is not there is 0."""

    failures: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        return not (self["pending"] or self.sum("rejected") or self.sum("dropped"))

    def sum(self, group: str) -> int:
        return sum(count for name, count in self.items() if name.startswith(f"{group}."))

    def assert_adds_up(self) -> None:
        """The ledger's equation."""
        taken = self["accepted"] + self["adopted"]
        settled = self["delivered"] + self.sum("rejected") + self.sum("dropped") + self["superseded"]
        assert taken == settled + self["pending"] + self["spooled"], dict(self)

    @property
    def ledger(self) -> dict[str, int]:
        """Of the equation's counters those that are not 0."""
        return {name: count for name, count in self.items() if count and LEDGER.match(name)}


def reports(fields: Sequence[str]) -> dict[str, Report]:
    """The sums by what is counted, without what counts nothing."""
    found: dict[str, Report] = {}
    for name, value in zip(fields[::2], fields[1::2], strict=True):
        if name == "kind":
            report = found.setdefault(value, Report())
        elif name == "failure":
            report.failures += (value,)
        else:
            report[name] += int(value)
    for report in found.values():
        for group in ("rejected", "dropped"):
            # C has the sum beside its parts
            assert report[group] in (0, report.sum(group)), report
    return {kind: report for kind, report in found.items() if report.ledger}


@dataclass
class Step:
    """What was asked of an agent and what came of it, as the other languages must have it too."""

    command: list[str]
    outcome: Any


class Agent:
    """An agent at work. Whatever it is told is kept in ``steps``, for the comparison with other languages."""

    def __init__(self, language: str, hide: Mapping[str, str]) -> None:
        self.language = language
        self.steps: list[Step] = []
        self._hide = hide
        self._senders: dict[str, None] = {}
        self._compared = True
        self._ended = False
        command = AGENTS[language]
        assert Path(command[-1]).is_file(), f"no agent {command[-1]}: run tests/contract/build.sh"
        self._child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def do(self, verb: str, *arguments: Any) -> list[str]:
        """Does what must succeed, and returns the answer's fields."""
        kind, *fields = self._ask(verb, arguments)
        assert kind == "ok", (verb, arguments, fields)
        if verb in ("writer", "pusher"):
            self._senders[arguments[0]] = None
        told = verb in ("flush", "close", "stats", "shutdown")
        self._note(verb, arguments, {k: r.ledger for k, r in reports(fields).items()} if told else fields)
        return fields

    def begin(self, verb: str, *arguments: Any) -> Callable[[], list[str]]:
        """Begins what must succeed; what is returned waits for the answer and returns its fields."""
        self._write(verb, arguments)

        def end() -> list[str]:
            kind, *fields = self._read((verb, arguments))
            assert kind == "ok", (verb, arguments, fields)
            self._note(verb, arguments, fields)
            return fields

        return end

    def drop(self, name: str) -> None:
        """Lets go of a writer without closing it."""
        self.do("drop", name)
        del self._senders[name]

    def refused(self, verb: str, *arguments: Any) -> Refused:
        """Does what must fail, and returns the error."""
        kind, *fields = self._ask(verb, arguments)
        assert kind == "error", (verb, arguments, fields)
        code, retryable, message = fields
        refused = Refused(int(code), retryable == "1", message)
        self._note(verb, arguments, refused)
        return refused

    def report(self, verb: str, *arguments: Any) -> Report:
        """Does what is answered by the report of one kind, and be it an empty one."""
        found = reports(self.do(verb, *arguments))
        assert len(found) < 2, found
        return next(iter(found.values()), Report())

    def fork(self) -> Fork:
        """The agent forks: what it is told from now on is told to the child, until it ends."""
        self.do("fork")
        return Fork(self)

    def exit(self, how: str, code: int) -> None:
        """The agent ends in that way, which must give that exit code."""
        self.balance()
        self._write("exit", (how, code))
        self._ended = True
        self._leave(code)

    @contextmanager
    def differs(self, because: str) -> Iterator[None]:
        """What is done here need not be equal in all languages: the case says which does what."""
        assert because
        self._compared = False
        yield
        self._compared = True

    def balance(self) -> None:
        """Checks the equation for every sender that was made."""
        with self.differs("asked beside the case"):
            for name in self._senders:
                for report in reports(self.do("stats", name)).values():
                    report.assert_adds_up()

    def finish(self) -> None:
        """Ends the agent in order, if the case has not: what a case leaves pending is given up."""
        if self._ended:
            return
        self.balance()
        for name in self._senders:
            self._ask("close", (name, 0))
        self.balance()
        self.exit("return", 0)

    def kill(self) -> None:
        self._child.kill()
        self._child.communicate()

    def _leave(self, code: int) -> None:
        out, err = self._child.communicate(timeout=LONG / 1000)
        said = err.decode()
        assert (self._child.returncode, out) == (code, b""), said
        assert SECRET not in said
        # logging's last resort: a Python program that sets up no logging is told of losses there
        if self.language != "python":
            assert said == ""

    def _write(self, verb: str, arguments: tuple[Any, ...]) -> None:
        assert self._child.stdin is not None
        line = "\t".join([verb, *map(encode, flat(arguments))]) + "\n"
        self._child.stdin.write(line.encode())
        self._child.stdin.flush()

    def _read(self, about: object) -> list[str]:
        assert self._child.stdout is not None and self._child.stderr is not None
        line = self._child.stdout.readline().decode("ascii")
        assert line.endswith("\n"), (self.language, about, self._child.stderr.read().decode())
        fields = [decode(part) for part in line[:-1].split("\t")]
        assert SECRET not in line, fields
        return fields

    def _ask(self, verb: str, arguments: tuple[Any, ...]) -> list[str]:
        self._write(verb, arguments)
        return self._read((verb, arguments))

    def _note(self, verb: str, arguments: tuple[Any, ...], outcome: Any) -> None:
        if self._compared:
            self.steps.append(hidden(Step([verb, *map(encode, flat(arguments))], outcome), self._hide))


class Fork:
    """A forked child that is obeying."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def exit(self, how: str, code: int) -> None:
        """The child ends in that way, which must give that exit code; the parent obeys again."""
        self._agent.balance()
        self._agent._write("exit", (how, code))
        assert self._agent._read("the end of the child") == ["ok", str(code)]


def hidden(value: Any, names: Mapping[str, str]) -> Any:
    """``value`` with the texts that differ from run to run, such as ports, replaced by their names."""
    match value:
        case str():
            for text, name in names.items():
                value = value.replace(text, name)
            return value
        case Step():
            return Step(hidden(value.command, names), hidden(value.outcome, names))
        case Refused():
            return Refused(value.code, value.retryable, hidden(value.message, names))
        case list() | tuple():
            return [hidden(part, names) for part in value]
        case dict():
            return {hidden(name, names): hidden(part, names) for name, part in value.items()}
        case _:
            return value


def flat(argument: Any) -> Iterator[str | bytes]:
    """The fields that an argument is written as."""
    match argument:
        case str() | bytes():
            yield argument
        case float():
            yield struct.pack(">d", argument).hex()
        case int():
            yield str(argument)
        case Now():
            yield "now"
        case dict():
            for pair in argument.items():
                yield from pair
        case list() | tuple():
            for part in argument:
                yield from flat(part)
        case _:
            raise TypeError(argument)


def encode(part: str | bytes) -> str:
    raw = part.encode() if isinstance(part, str) else part
    return "".join(chr(b) if 32 <= b < 127 and b != 37 else f"%{b:02x}" for b in raw)


def decode(part: str) -> str:
    return re.sub(rb"%(..)", lambda found: bytes.fromhex(found[1].decode()), part.encode()).decode()


def write_url(receiver: FaultReceiver) -> str:
    """The remote-write endpoint of a receiver."""
    return f"{receiver.url}/api/v1/write"


def writer(agent: Agent, receiver: FaultReceiver, **options: str) -> None:
    """Makes the writer ``w``; ``__`` in a keyword stands for the dot of an option."""
    agent.do("writer", "w", write_url(receiver), spelled(options))


def pusher(
    agent: Agent, receiver: FaultReceiver, name: str = "p", shard: str = "a/b", **options: str
) -> None:
    """Makes a pusher of the group ``job="batch"`` and that shard."""
    given = spelled(options)
    del given["queue_config.batch_send_deadline"]  # which a gateway has not
    agent.do("pusher", name, receiver.address, "batch", 1, {"shard": shard}, given)


def spelled(options: Mapping[str, str]) -> dict[str, str]:
    return {**OPTIONS, **{name.replace("__", "."): value for name, value in options.items()}}


def samples(request: Request) -> dict[tuple[tuple[str, str], ...], list[tuple[int, float]]]:
    """The samples of a request: time and value, by the labels in their order."""
    return {tuple(one.labels.items()): [(s.ts_ms, s.value) for s in one.samples] for one in request.series}


@contextmanager
def within(milliseconds: int) -> Iterator[None]:
    """What is done here takes no longer than that, and what a busy machine adds."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < milliseconds / 1000 + LATE
