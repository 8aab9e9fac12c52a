"""Packages that only an extra of duetal brings: an error that names the extra."""

import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata

from duetal.core.errors import UsageError

_REQUIREMENT = re.compile(r"([\w.-]+)(?:.*\bextra == ['\"]([\w-]+))?")


def missing_package(error: ModuleNotFoundError) -> UsageError | None:
    """What to install for a module that was not found; None where duetal does not require it."""
    module = (error.name or "").partition(".")[0]
    try:
        requirements = metadata.requires("duetal") or []
    except metadata.PackageNotFoundError:
        return None
    #: The packages of each extra, "" for those of none.
    packages: dict[str, set[str]] = defaultdict(set)
    for requirement in requirements:
        if found := _REQUIREMENT.match(requirement):
            packages[found[2] or ""].add(found[1].replace("-", "_"))
    # Extras contain each other: the smallest one is meant.
    sizes = {extra: len(own) for extra, own in packages.items() if module in own}
    if not sizes:
        return None
    extra = min(sizes, key=sizes.__getitem__)
    wanted = f'"duetal[{extra}]"' if extra else "duetal"
    return UsageError(f"this needs {module}, which is not installed: pip install {wanted}")


@contextmanager
def naming_extras() -> Iterator[None]:
    """Raise a UsageError that names the extra where a package is missing; also a decorator."""
    try:
        yield
    except ModuleNotFoundError as error:
        named = missing_package(error)
        if named is None:
            raise
        raise named from error
