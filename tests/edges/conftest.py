from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop

LoopMaker = Callable[[], asyncio.AbstractEventLoop]
BOTH_LOOPS = "both_loops"  # a module that sets this is run on each


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, LoopMaker]:
    """The event loops that a test is run on."""
    loops: dict[str, LoopMaker] = {"asyncio": asyncio.new_event_loop}
    module = item.getparent(pytest.Module)
    if module is not None and getattr(module.obj, BOTH_LOOPS, False):
        loops["uvloop"] = uvloop.new_event_loop
    return loops
