"""What the tests of the example scripts share."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def load_example() -> Callable[[str], ModuleType]:
    """An example script as a module, by its name without suffix."""

    def load(name: str) -> ModuleType:
        script = Path(__file__).parents[2] / "examples" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"{name}_example", script)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
