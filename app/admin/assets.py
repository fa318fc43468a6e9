"""Static files of the admin pages: style sheets, scripts and pictures."""

from pathlib import Path

from app.api.static_files import StaticFiles

assets = StaticFiles(Path(__file__).resolve().parent / "static", "/static")
