"""The machine that is slow on purpose."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SLOWLY = [sys.executable, "-m", "tests.slowly", "--share", "0.5", "--every", "0.1", "--stall", "0.3", "--"]
# Counts looks at the clock that lie further apart than a stall's half: it was stopped in between. Orphans are too.
COUNT = """
import os, sys, time
if os.fork():
    sys.exit(3)
stalls, last = 0, time.monotonic()
while stalls < 2:
    time.sleep(0.01)
    stalls, last = stalls + (time.monotonic() - last > 0.15), time.monotonic()
open(sys.argv[1], "w").write("stalled")
"""


def test_its_status_is_the_command_s() -> None:
    assert subprocess.run([*SLOWLY, "sh", "-c", "exit 3"], cwd=Path(__file__).parents[2], check=False).returncode == 3


def test_what_the_command_has_left_behind_is_stopped_as_well(tmp_path: Path) -> None:
    script = f"{sys.executable} -c '{COUNT}' {tmp_path}/said; until [ -e {tmp_path}/said ]; do sleep 0.05; done"
    subprocess.run([*SLOWLY, "sh", "-c", script], cwd=Path(__file__).parents[2], check=True)
    assert (tmp_path / "said").read_text() == "stalled"
