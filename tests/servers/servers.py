"""Real servers for the tests: started on a free port of 127.0.0.1, written to, asked what they hold.

    with Prometheus(binaries("prometheus")[0]) as server:
        ...                                             # write to server.write_url
        server.query_range_raw('{job="etl"}', start_ms, end_ms)

What a server holds is given as bits of the double, because 0.0 == -0.0 and NaN != NaN. How far each can say it:

* Prometheus and Pushgateway answer with the shortest number that reads back as the same double, so the bits of every
  number, -0.0 and the infinities are exact. "NaN" has no payload there: each NaN is given as `NAN`. Prometheus never
  shows stale markers in an answer to a query.
* VictoriaMetrics keeps numbers as decimals: short decimals and whole numbers come back exactly, others (1/3) only to
  a relative 1e-11, subnormal numbers and -0.0 as 0.0; of the NaNs it keeps only stale markers, given as `NAN`.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar
from urllib.parse import urlencode

HERE = Path(__file__).resolve().parent
# Where build.sh puts the servers; another place by PROMWRITE_SERVERS, so that several work trees can share them.
SERVERS = Path(os.environ.get("PROMWRITE_SERVERS") or HERE.parent.parent / "target" / "servers").resolve()

# The credentials of every server that is started with basic_auth=True. Constants, because the servers of Prometheus's
# family want a bcrypt hash, which Python's standard library cannot make.
USER = "1250000000"
PASSWORD = "token-of-the-tests"
PASSWORD_HASH = "$2b$04$n6W74B397rKBZckVM7rSAelSqksWhpMzpMHC7mLfg0vJl5CRthCou"

# The bits that stand for every NaN where the answer does not carry them: Prometheus's own normal NaN.
NAN = 0x7FF8000000000001

Labels = frozenset[tuple[str, str]]
Stored = dict[Labels, list[tuple[int, int]]]
S = TypeVar("S", bound="Server")


def binaries(kind: str) -> list[Path]:
    """The servers of a kind ("prometheus", "pushgateway", "victoria-metrics"), new and old, built or not."""
    lines = [
        line.split() for line in (HERE / "releases").read_text().splitlines() if not line.startswith("#")
    ]
    return [SERVERS / f"{name}-{version}" / name for name, version, *_ in lines if name == kind]


def bits(text: str) -> int:
    """The bits of the double that a server wrote as text."""
    value = float(text)
    return NAN if value != value else int(struct.unpack("<Q", struct.pack("<d", value))[0])


def labels(pairs: Mapping[str, str]) -> Labels:
    """A label set that can be compared; an empty value is no label."""
    return frozenset((name, value) for name, value in pairs.items() if value)


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    """Asks until it is so. The one place that polls, because a server in another process tells nobody."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s: {what}")
        time.sleep(0.01)


class Answer(NamedTuple):
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class PortTakenError(Exception):
    """Somebody else took the port between choosing and using it."""


class Server:
    """A server of one kind. A context manager; `stop` and `start` again keep its port and what it stored."""

    ready_path: ClassVar[str]

    def __init__(self, binary: Path, *, basic_auth: bool = False) -> None:
        self.binary = binary
        self.basic_auth = basic_auth
        self.port = 0
        self._folder = tempfile.TemporaryDirectory(prefix="promwrite-server-")
        self.folder = Path(self._folder.name)
        self._process: subprocess.Popen[bytes] | None = None

    def arguments(self) -> list[str]:
        """The command line after the program, for `self.address` and `self.folder`."""
        raise NotImplementedError

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The server's URL without a path."""
        return f"http://{self.address}"

    def __enter__(self: S) -> S:
        try:
            self.start()
        except BaseException:
            self._folder.cleanup()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._folder.cleanup()

    def start(self) -> None:
        """Starts the server and returns when it is ready. The port is chosen at the first start and then kept."""
        if not self.binary.is_file():
            raise FileNotFoundError(f"{self.binary} is missing: `make servers` builds it")
        if self.port:
            self._start()
            return
        for attempt in range(5):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
            try:
                self._start()
                return
            except PortTakenError:
                if attempt == 4:
                    raise

    def _start(self) -> None:
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [self.binary, *self.arguments()],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            wait_until(self._is_ready, f"{self.binary} ready at {self.url}{self.ready_path}")
        except BaseException as error:
            self.stop()
            if isinstance(error, PortTakenError | KeyboardInterrupt):
                raise
            raise RuntimeError(
                f"{self.binary} did not start ({error}); the end of its log:\n{self.log_tail()}"
            ) from error

    def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            if "address already in use" in self.log_tail():
                raise PortTakenError(f"{self.address} is taken")
            raise RuntimeError(f"it ended with code {self._process.returncode}")
        try:
            return self._listens(self._process.pid) and self.request("GET", self.ready_path).status == 200
        except OSError:
            return False

    def _listens(self, pid: int) -> bool:
        """Whether it is our process that has the port, because another server there would answer as ready too."""
        local = f"0100007F:{self.port:04X}"
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
        sockets = {f"socket:[{row[9]}]" for row in rows if row[1] == local and row[3] == "0A"}
        return any(str(file.readlink()) in sockets for file in Path(f"/proc/{pid}/fd").iterdir())

    def stop(self) -> None:
        """Ends the server; what it stored stays for the next start."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def log_tail(self, lines: int = 30) -> str:
        """The end of the server's log."""
        return "\n".join((self.folder / "log").read_text(errors="replace").splitlines()[-lines:])

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        credentials: tuple[str, str] | None = (USER, PASSWORD),
    ) -> Answer:
        """One request; every status is an answer. Credentials go only to a server started with basic_auth."""
        sent = dict(headers or {})
        if self.basic_auth and credentials is not None:
            sent["Authorization"] = "Basic " + base64.b64encode(":".join(credentials).encode()).decode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def get(self, path: str, **query: str) -> bytes:
        """The body of a GET that must be answered 200."""
        answer = self.request("GET", f"{path}?{urlencode(query)}" if query else path)
        if answer.status != 200:
            raise RuntimeError(f"GET {path} {query}: {answer.status} {answer.body[:1000]!r}")
        return answer.body

    def web_config(self) -> list[str]:
        """The flag that makes a server of Prometheus's family ask for the credentials."""
        if not self.basic_auth:
            return []
        file = self.folder / "web.yml"
        file.write_text(f'basic_auth_users:\n  "{USER}": "{PASSWORD_HASH}"\n')
        return [f"--web.config.file={file}"]


class Prometheus(Server):
    """Prometheus as a remote write receiver that scrapes nothing.

    `out_of_order_time_window` is a duration as in its configuration file ("30m"); without it every sample that is older
    than the newest of its series is refused.
    """

    ready_path = "/-/ready"

    def __init__(
        self, binary: Path, *, basic_auth: bool = False, out_of_order_time_window: str | None = None
    ) -> None:
        super().__init__(binary, basic_auth=basic_auth)
        self.out_of_order_time_window = out_of_order_time_window

    def arguments(self) -> list[str]:
        config = "global: {}\n"
        if self.out_of_order_time_window is not None:
            config += f"storage:\n  tsdb:\n    out_of_order_time_window: {self.out_of_order_time_window}\n"
        (self.folder / "prometheus.yml").write_text(config)
        return [
            f"--config.file={self.folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address={self.address}",
            "--web.enable-remote-write-receiver",
            *self.web_config(),
        ]

    @property
    def write_url(self) -> str:
        """Where remote write goes."""
        return f"{self.url}/api/v1/write"

    def query_range_raw(self, selector: str, start_ms: int, end_ms: int) -> Stored:
        """Every stored sample of the series that match, from start to end, both included, oldest first."""
        # One millisecond more, because a range excludes its older end since 3.0; 2.x includes it, hence the check.
        query = f"{selector}[{end_ms - start_ms + 1}ms]"
        answer = json.loads(self.get("/api/v1/query", query=query, time=seconds(end_ms)), parse_float=Decimal)
        stored: Stored = {}
        for series in answer["data"]["result"]:
            samples = [(int(time * 1000), bits(value)) for time, value in series["values"]]
            stored[labels(series["metric"])] = [sample for sample in samples if sample[0] >= start_ms]
        return {found: samples for found, samples in stored.items() if samples}


class VictoriaMetrics(Server):
    """VictoriaMetrics, single node, with a retention that takes samples of any age."""

    ready_path = "/health"

    def arguments(self) -> list[str]:
        credentials = (
            [f"-httpAuth.username={USER}", f"-httpAuth.password={PASSWORD}"] if self.basic_auth else []
        )
        return [
            f"-httpListenAddr={self.address}",
            f"-storageDataPath={self.folder / 'data'}",
            "-retentionPeriod=100y",
            *credentials,
        ]

    @property
    def write_url(self) -> str:
        """Where remote write goes."""
        return f"{self.url}/api/v1/write"

    def query_range_raw(self, selector: str, start_ms: int, end_ms: int) -> Stored:
        """Every stored sample of the series that match, from start to end, both included, duplicates as well."""
        # Without this what was just written is not found for some seconds.
        self.get("/internal/force_flush")
        lines = self.get(
            "/api/v1/export", match=selector, start=seconds(start_ms), end=seconds(end_ms)
        ).splitlines()
        stored: Stored = {}
        for line in lines:
            # 1.79 writes what JSON has no number for as a bare word at the head of the list; a null is a NaN in both.
            line = re.sub(
                rb'"values":\[([^]]*)', lambda found: re.sub(rb"([+-]?Inf\b|NaN)", rb'"\1"', found[0]), line
            )
            # Numbers stay text, because `bits` reads them.
            series = json.loads(line, parse_float=str, parse_int=str)
            samples = [
                (int(time), bits("NaN" if value is None else value))
                for time, value in zip(series["timestamps"], series["values"], strict=True)
            ]
            stored.setdefault(labels(series["metric"]), []).extend(samples)
        return stored


class Pushgateway(Server):
    """Pushgateway, without a file: what it holds ends with it."""

    ready_path = "/-/ready"

    def arguments(self) -> list[str]:
        # The empty file name is needed: Debian's build has a default that all of the machine would share.
        return [f"--web.listen-address={self.address}", "--persistence.file=", *self.web_config()]

    def metrics_text(self) -> str:
        """The page that Prometheus would scrape, with Pushgateway's own metrics."""
        return self.get("/metrics").decode()

    def metrics_json(self) -> list[dict[str, Any]]:
        """The groups as `/api/v1/metrics` gives them."""
        groups: list[dict[str, Any]] = json.loads(self.get("/api/v1/metrics"))["data"]
        return groups

    def groups(self) -> dict[Labels, dict[Labels, int]]:
        """Grouping key → series → bits of its value, without the two push times that Pushgateway adds to each group."""
        own = {"labels", "last_push_successful", "push_time_seconds", "push_failure_time_seconds"}
        return {
            labels(group["labels"]): {
                labels({**metric["labels"], **suffix, "__name__": name + ending}): bits(value)
                for name, family in group.items()
                if name not in own
                for metric in family["metrics"]
                for ending, suffix, value in parts(metric)
            }
            for group in self.metrics_json()
        }


def parts(metric: Mapping[str, Any]) -> list[tuple[str, dict[str, str], str]]:
    """The series of one metric of Pushgateway's JSON: ending of the name, label of its own, value."""
    found: list[tuple[str, dict[str, str], str]] = [("", {}, metric["value"])] if "value" in metric else []
    found += [("_bucket", {"le": bound}, value) for bound, value in metric.get("buckets", {}).items()]
    found += [("", {"quantile": quantile}, value) for quantile, value in metric.get("quantiles", {}).items()]
    found += [(f"_{end}", {}, metric[end]) for end in ("count", "sum") if end in metric]
    return found


def seconds(milliseconds: int) -> str:
    """Milliseconds as the decimal seconds that the servers' query parameters want, without a float in between."""
    return f"{milliseconds // 1000}.{milliseconds % 1000:03d}"
