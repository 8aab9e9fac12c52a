"""Self-contained HTML pages of runs and detections."""

from duetal.report.contenders import PageEntry, write_contenders
from duetal.report.explorer import Written
from duetal.report.page import render_report, write_report

__all__ = ["PageEntry", "Written", "render_report", "write_contenders", "write_report"]
