import argparse
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from nvc_jax.cli import main
from nvc_jax.cli.completion import completion_script
from nvc_jax.cli.main import make_parser

ASK = """
source ./script
COMP_WORDS=({words}) COMP_CWORD={last}
_shtab_nvc
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def complete(words: list[str], directory: Path) -> list[str]:
    """Complete the last of some words as bash does."""
    quoted = " ".join(f"'{word}'" for word in words)
    code = ASK.format(words=quoted, last=len(words) - 1)
    run = subprocess.run(
        ["bash", "-c", code], cwd=directory, capture_output=True, text=True, check=True, timeout=30
    )
    return [line.strip() for line in run.stdout.splitlines() if line.strip()]


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_commands_options_and_files(here: Path) -> None:
    (here / "script").write_text(completion_script(make_parser(), "bash"))
    assert sorted(complete(["nvc", "compl"], here)) == ["completion"]
    assert "--max-error" in complete(["nvc", "compress", "--max"], here)
    assert "v.npy" in complete(["nvc", "compress", "v."], here)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_are_printed(shell: str, capsys: pytest.CaptureFixture) -> None:
    assert main(["completion", shell]) == 0
    assert "max-error" in capsys.readouterr().out
    assert main(["completion", shell, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["shell"] == shell


def test_other_shells_are_wrong_usage(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as info:
        main(["completion", "csh"])
    assert info.value.code == 2
    assert "invalid choice: 'csh'" in capsys.readouterr().err


def test_a_parser_without_commands_has_a_script() -> None:
    parser = argparse.ArgumentParser(prog="tool")
    parser.add_argument("--fast", action="store_true")
    assert "--fast" in completion_script(parser, "bash")
