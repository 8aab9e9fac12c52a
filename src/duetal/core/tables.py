"""Objects as a notebook shows them: one line of text, an HTML table, rows for pandas."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from duetal.core.errors import UsageError

#: Rows of a table in a notebook; the rest is counted.
MAX_ROWS = 20


def html_table(
    caption: str, header: Sequence[str], rows: Sequence[Sequence[object]], total: int | None = None
) -> str:
    """Rows as an HTML table, numbers to the right; `total` says of how many they are the first."""
    lines = [f"<table><caption>{escape(caption)}</caption>", _row("th", header)]
    lines += [_row("td", row) for row in rows]
    left = (len(rows) if total is None else total) - len(rows)
    if left > 0:
        lines.append(f'<tr><td colspan="{len(header)}">… and {left:,} more</td></tr>')
    return "\n".join([*lines, "</table>"])


def _row(tag: str, cells: Sequence[object]) -> str:
    return f"<tr>{''.join(_cell(tag, cell) for cell in cells)}</tr>"


def _cell(tag: str, value: object) -> str:
    if isinstance(value, float):
        return f'<{tag} style="text-align: right">{value:.2f}</{tag}>'
    return f'<{tag} style="text-align: left">{escape(str(value))}</{tag}>'


def data_frame(columns: Mapping[str, Any]) -> Any:
    """Columns as a `pandas.DataFrame`; a UsageError where pandas is not installed."""
    try:
        import pandas
    except ModuleNotFoundError as error:
        raise UsageError("a data frame needs pandas: pip install pandas") from error
    return pandas.DataFrame(columns)
