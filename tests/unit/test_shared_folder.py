"""What is dear to make is made once for all workers of a run, whoever comes when."""

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
WORKER = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from tests.system.debian import shared

place, stays = Path(sys.argv[1]), float(sys.argv[2])

def make(folder):
    with (place / "made").open("a") as file:
        file.write(folder.name + "\\n")
    time.sleep(0.5)
    (folder / "whole").touch()

with ExitStack() as stack, ThreadPoolExecutor() as threads:
    for one in [threads.submit(stack.enter_context, shared(place / name, make)) for name in ("a", "b")]:
        assert (one.result() / "whole").exists()
    time.sleep(stays)
"""


def test_three_workers_share_two_folders_and_the_last_removes_them(tmp_path: Path) -> None:
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, tmp_path, stays], cwd=REPOSITORY)
        for stays in ("1", "2", "3")
    ]
    try:
        assert [worker.wait(timeout=30) for worker in workers] == [0, 0, 0]
    finally:
        for worker in workers:
            worker.kill()
    assert sorted((tmp_path / "made").read_text().split()) == ["a.new", "b.new"]
    assert not (tmp_path / "a").exists()
    assert not (tmp_path / "b").exists()
