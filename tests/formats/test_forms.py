import re
from pathlib import Path

from duetal.formats.forms import FORMS, Format

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "formats.md"


def test_every_form_can_be_read() -> None:
    assert set(FORMS) == set(Format)


def test_the_documentation_says_what_can_be_read_and_written() -> None:
    row = re.compile(r"^\| `([a-z0-9-]+)` \| [^|]+ \| ([^|]+) \| ([^|]+) \|", re.MULTILINE)
    documented = {name: (one, two) for name, one, two in row.findall(DOCUMENTATION.read_text())}

    def words(read: object, write: object) -> str:
        known = [name for name, function in (("read", read), ("write", write)) if function]
        return ", ".join(known) or "-"

    assert documented == {
        name.value: (
            words(form.read_annotations, form.write_annotations),
            words(form.read_detections, form.write_detections),
        )
        for name, form in FORMS.items()
    }
