"""Self-contained HTML pages of runs and detections."""

from duetal.pages.contenders import PageEntry, write_contenders
from duetal.pages.explorer import Written
from duetal.pages.page import render_report, write_report

__all__ = ["PageEntry", "Written", "render_report", "write_contenders", "write_report"]
