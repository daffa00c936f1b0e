"""A build without a network, from vendored sources, in another folder: it makes the same bytes."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from library import ROOT, built, run


@pytest.mark.timeout(900)  # the whole library is built anew
def test_an_offline_build_from_vendored_sources_is_the_same(tmp_path: Path) -> None:
    copy = tmp_path / "promwrite-0.1.0"
    files = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    for name in filter(None, files.split("\0")):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy / name, follow_symlinks=False)

    # what the head of capi/build.sh tells a packager
    (copy / ".cargo").mkdir()
    config = run("cargo", "vendor", "--locked", "--versioned-dirs", "vendor", cwd=copy)
    (copy / ".cargo" / "config.toml").write_text(config)

    env = {name: value for name, value in os.environ.items() if name not in {"RUSTFLAGS", "PROMWRITE_CAPI"}}
    env |= {
        # empty, so that nothing but the vendored sources is there
        "CARGO_HOME": str(tmp_path / "cargo-home"),
        "CARGO_NET_OFFLINE": "true",
        "CARGO_TARGET_DIR": str(tmp_path / "target"),
    }
    done = subprocess.run([copy / "capi" / "build.sh"], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "cargo-home" / "registry").exists()
    made = copy / "target" / "capi"
    for file in ["promwrite.o", "libpromwrite.a", "libpromwrite.so", "native-static-libs", "licences/INDEX"]:
        assert (made / file).read_bytes() == (built() / file).read_bytes(), file
