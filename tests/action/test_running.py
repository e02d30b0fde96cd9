"""The Python that runs a step, and the program that the step runs: one that leaves something behind is over, too."""

import time
from pathlib import Path

import pytest

from action.running import run
from tests.action.apps import put_app

TOO_OLD = next(Path.home().glob(".pyenv/versions/3.6.*/bin/python3"), None)
LEFT = "import subprocess; subprocess.Popen(['sleep', '6.1'], start_new_session=%s); print('the end', flush=True)"


@pytest.mark.parametrize("apart", [False, True])
def test_what_a_program_left_running_is_not_waited_for(job, apart: bool):
    here = job()
    put_app(here.workspace, LEFT % apart)
    began = time.monotonic()
    assert here.use(synth="runner"), here.log
    assert time.monotonic() - began < 5
    assert "synth | the end" in here.log


def test_every_line_is_heard_before_the_end(tmp_path: Path):
    heard: list[str] = []
    program = "for n in $(seq 3000); do echo line $n; done; printf 'no end \\377'"
    assert run(["/bin/sh", "-c", program], tmp_path, {}, heard.append, 30) == 0
    assert heard == [*(f"line {n}" for n in range(1, 3001)), "no end �"]


@pytest.mark.skipif(TOO_OLD is None, reason="there is no Python 3.6 here")
def test_a_python_that_is_too_old_is_told_its_remedy(job):
    here = job()
    here.prepend_path(Path(str(TOO_OLD)).parent)
    put_app(here.workspace)
    assert not here.use(synth="runner")
    assert here.errors[0].endswith("python3 is 3.6. Let actions/setup-python come before this step.")
