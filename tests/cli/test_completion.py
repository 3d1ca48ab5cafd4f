"""`hfgateway completion` in the shells for which it prints a script."""

from __future__ import annotations

import asyncio
import os
import pty
import shlex
import sys
from pathlib import Path

import pytest

TYPED = "hfgateway gener"
BASH = """
eval "$(hfgateway completion bash)"
COMP_WORDS=(hfgateway gener) COMP_CWORD=1
_hfgateway_completion hfgateway
echo "${COMPREPLY[@]}"
"""
FISH = f"hfgateway completion fish | source; complete -C '{TYPED}'"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment with `hfgateway` on its PATH, and an empty home."""
    command = tmp_path / "bin" / "hfgateway"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m gateway "$@"\n')
    command.chmod(0o755)
    path = os.pathsep.join([str(command.parent), os.environ["PATH"]])
    python = os.pathsep.join(one for one in sys.path if one)
    return os.environ | {"PATH": path, "PYTHONPATH": python, "HOME": str(tmp_path), "TERM": "dumb"}


@pytest.mark.parametrize(
    ("shell", "script"),
    [
        pytest.param(name, script, marks=pytest.mark.toolchain(name))
        for name, script in (("bash", BASH), ("fish", FISH))
    ],
)
async def test_a_shell_completes_a_command(environment: dict[str, str], shell: str, script: str) -> None:
    process = await asyncio.create_subprocess_exec(shell, "-c", script, env=environment, stdout=asyncio.subprocess.PIPE)
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert out.split()[0] == b"generate"


@pytest.mark.toolchain("zsh")
async def test_zsh_completes_a_command(environment: dict[str, str]) -> None:
    ours, its = pty.openpty()  # zsh completes only what is typed on a terminal
    process = await asyncio.create_subprocess_exec("zsh", "-fi", stdin=its, stdout=its, stderr=its, env=environment)
    os.close(its)
    try:
        os.write(ours, b'autoload -Uz compinit; compinit -u -D; eval "$(hfgateway completion zsh)"; echo re""ady\r')
        await shown(ours, "ready")
        os.write(ours, f"{TYPED}\t".encode())
        await shown(ours, "generate ")
    finally:
        process.kill()
        await process.wait()
        os.close(ours)


async def shown(terminal: int, text: str) -> None:
    """Return when the terminal has shown the text."""
    read = ""
    while text not in read:
        read += (await asyncio.wait_for(asyncio.to_thread(os.read, terminal, 65536), 60)).decode(errors="replace")
