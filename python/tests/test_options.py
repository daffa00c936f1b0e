"""Options by every name they have, secrets, and what an import costs."""

from __future__ import annotations

import inspect
import logging
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import promwrite
import pytest
from promwrite import _promwrite

if TYPE_CHECKING:
    from python.tests.conftest import Server

URL = "http://127.0.0.1:9/api/v1/write"


def documented(writer: bool) -> dict[str, str]:
    """Keyword and type of each documented option."""
    lines = _promwrite.options_doc(writer).splitlines()
    return dict(line.split(" = ")[0].split(": ", 1) for line in lines if not line.startswith(" "))


def test_docstrings_hold_every_option() -> None:
    for made, writer in [(promwrite.Writer, True), (promwrite.Handler, False), (promwrite.Pusher, False)]:
        text = inspect.getdoc(made) or ""
        assert len(documented(writer)) > 30
        assert all(f"{keyword}: " in text for keyword in documented(writer))


@pytest.mark.parametrize("writer", [True, False])
def test_every_documented_keyword_is_one(writer: bool, tmp_path: Path) -> None:
    made: Any = promwrite.Writer if writer else promwrite.Handler
    wrong = object()
    for keyword in documented(writer):
        # a value of no type names the option: so the keyword is known
        with pytest.raises(TypeError, match=r"must be a (str|mapping)"):
            made(URL, **{keyword: wrong}) if writer else made(**{keyword: wrong})


def test_keys_and_their_short_names_mean_the_same() -> None:
    for keywords in [
        {"options": {"queue_config.capacity": 0}},
        {"queue_config_capacity": 0},
        {"capacity": 0},
    ]:
        with pytest.raises(promwrite.InvalidError, match=r"queue_config\.capacity: \"0\" is refused"):
            promwrite.Writer(URL, **keywords)  # type: ignore[arg-type]
    with pytest.raises(promwrite.InvalidError, match=r"tls_config\.ca_file"):
        promwrite.Writer(URL.replace("http", "https"), ca_file=Path("/nonexistent/ca.pem"))
    promwrite.Writer(
        URL, remote_timeout="1m30s", split_on_reject=False, exit_timeout=timedelta(seconds=1), labels=None
    )


@pytest.mark.parametrize(
    ("keywords", "nearest"),
    [
        ({"capactiy": 1}, "queue_config.capacity"),
        ({"options": {"remote_timout": 1}}, "remote_timeout"),
        ({"basic_auth_pasword": "canary"}, None),
        ({"zzz": 1}, None),
    ],
)
def test_an_unknown_option_names_the_nearest(keywords: dict[str, Any], nearest: str | None) -> None:
    for make in (lambda: promwrite.Writer(URL, **keywords), lambda: promwrite.Handler(**keywords)):
        with pytest.raises(promwrite.OptionError) as raised:
            make()
        assert "canary" not in str(raised.value)
        if nearest:
            assert str(raised.value).endswith(f"did you mean {nearest}?")
        assert isinstance(raised.value, ValueError)


@pytest.mark.parametrize(
    ("keywords", "error", "part"),
    [
        ({"remote_timeout": -1}, promwrite.InvalidError, r'remote_timeout: "-1" is refused: must be seconds'),
        (
            {"remote_timeout": []},
            TypeError,
            "remote_timeout: must be a str, number, bool, path or timedelta, not list",
        ),
        ({"overflow": "explode"}, promwrite.InvalidError, "must be one of drop_oldest"),
        ({"basic_auth": "user:canary"}, TypeError, r"basic_auth: must be a tuple \(user, password\)"),
        (
            {"basic_auth": ("u", "canary"), "bearer_token": "canary"},
            promwrite.InvalidError,
            "one way to authenticate",
        ),
        ({"headers": [("X", "canary")]}, TypeError, "headers: must be a mapping, not list"),
        ({"headers": {"X-A": "canary\r\n"}}, promwrite.InvalidError, r"headers\.X-A: \*\*\*"),
        ({"headers": {"Content-Type": "a"}}, promwrite.InvalidError, "reserved"),
        ({"labels": {"a-b": "c"}}, promwrite.InvalidError, 'label name: "a-b"'),
        ({"bearer_token": ["canary"]}, TypeError, r"authorization\.credentials: must be"),
    ],
)
def test_values_that_are_refused(keywords: dict[str, Any], error: type[Exception], part: str) -> None:
    with pytest.raises(error, match=part) as raised:
        promwrite.Writer(URL, **keywords)
    assert "canary" not in str(raised.value)


def test_an_option_of_the_other_face_is_not_passed_over() -> None:
    for make in (
        lambda: promwrite.Handler(labels={"job": "a"}),
        lambda: promwrite.Pusher("gw:1", "a", max_samples_per_send=3),
    ):
        with pytest.raises(promwrite.InvalidError, match="an option of Writer"):
            make()


@pytest.mark.parametrize("url", ["", "gw", "ftp://a/b", "http://", "http://us:canary@/x", "http://a:99999/"])
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(promwrite.InvalidError, match="url") as raised:
        promwrite.Writer(url)
    assert "canary" not in str(raised.value)


def test_secrets_in_every_form_arrive(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("from-file\n")
    monkeypatch.setenv("JOB_TOKEN", "from-env")
    for keywords in [
        {"bearer_token": "literal", "headers": {"X-T": b"caf\xe9"}},
        {"authorization_credentials_file": tmp_path / "token", "headers_env": {"X-T": "JOB_TOKEN"}},
        {
            "options": {
                "authorization.credentials_env": "JOB_TOKEN",
                "headers_file.X-T": str(tmp_path / "token"),
            }
        },
    ]:
        with promwrite.Writer(server.url, **keywords) as writer:  # type: ignore[arg-type]
            writer.append("a", 1)
    got = [(r.headers["authorization"], r.headers["x-t"]) for r in server.requests]
    assert got == [
        ("Bearer literal", "café"),
        ("Bearer from-file", "from-env"),
        ("Bearer from-env", "from-file"),
    ]


def test_the_log_is_fed_from_the_callers_side(
    server: Server, refused: str, caplog: pytest.LogCaptureFixture
) -> None:
    promwrite.stats()  # what earlier tests left
    caplog.clear()
    server.status = 401
    writer = promwrite.Writer(f"{server.url}/w?token=canary", basic_auth=("us", "canary"))
    writer.append("a", 1)
    writer.flush(timeout=0.2)
    server.wait(1)
    writer.close(timeout=0)
    (held, lost) = [record for record in caplog.records if record.name == "promwrite"]
    assert held.levelno == lost.levelno == logging.WARNING
    assert "401" in held.getMessage()
    assert "dropped (shutdown): 1 samples" in lost.getMessage()
    assert "canary" not in caplog.text


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100)


def test_an_import_loads_next_to_nothing_and_does_nothing() -> None:
    done = run(
        "import sys, threading; before = set(sys.modules)\n"
        "import promwrite\n"
        "print(*sorted(name for name in set(sys.modules) - before if not name.startswith('promwrite')))\n"
        "print(threading.active_count(), len(__import__('os').listdir('/proc/self/task')))"
    )
    loaded, threads = done.stdout.splitlines()
    assert set(loaded.split()) <= {"__future__", "atexit"}, done.stdout + done.stderr
    assert threads == "1 1"


def test_a_loss_at_exit_is_told_once(refused: str) -> None:
    done = run(
        "import promwrite\n"
        f"url = {refused!r}.replace('://', '://us:canary@') + '/w?x=canary'\n"
        "writer = promwrite.Writer(url, exit_idle_timeout=0.3)\n"
        "writer.append('a', 1); writer.append('b', 1)\n"
        "raise SystemExit(7)"
    )
    assert (done.returncode, done.stdout) == (7, "")
    (line,) = done.stderr.splitlines()
    assert "2 samples" in line
    assert "shutdown: 2" in line
    assert "connection refused" in line
    assert refused in line
    assert "canary" not in line


def test_a_loss_that_a_report_told_is_not_told_again(refused: str) -> None:
    done = run(
        "import promwrite\n"
        f"writer = promwrite.Writer({refused!r})\n"
        "writer.append('a', 1)\n"
        "print(writer.close(0).dropped)"
    )
    assert (done.returncode, done.stdout) == (0, "{'shutdown': 1}\n")
    assert "at exit" not in done.stderr


def test_what_is_pending_at_exit_is_delivered(server: Server) -> None:
    done = run(
        f"import promwrite\npromwrite.Writer({server.url!r}, instance='').append('a', 1)\n"
        f"promwrite.handler(url='{server.url}/metrics/job/a', method='PUT', timeout=1, headers=[], data=b'a 1\\n')()"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted(request.method for request in server.requests) == ["POST", "PUT"]
