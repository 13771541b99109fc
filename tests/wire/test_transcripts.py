from __future__ import annotations

import pytest

from tests.wire.machines import play
from tests.wire.stage import TRANSCRIPTS, Script, read_scripts

SCRIPTS = {
    f"{path.stem}-{number}": script
    for path in sorted(TRANSCRIPTS.glob("*.txt"))
    for number, script in enumerate(read_scripts(path), 1)
}


@pytest.mark.parametrize("step", [1, 1_000_000], ids=["octet by octet", "line by line"])
@pytest.mark.parametrize("script", SCRIPTS.values(), ids=list(SCRIPTS))
def test_every_dialogue_goes_as_its_transcript_says(script: Script, step: int) -> None:
    assert play(script, step) == script.lines
