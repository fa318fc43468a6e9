"""The pages of Swagger UI and Redoc, which load nothing from another host."""

from dataclasses import dataclass
from pathlib import Path

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.api.static_files import StaticFiles

FOLDER = Path(__file__).resolve().parent
_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",  # icons in style sheets
    "connect-src": "'self'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
}
_EMPTY = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
_SCROLLBAR = "'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='"

assets = StaticFiles(FOLDER / "static", "/docs/static")
_environment = Environment(
    loader=FileSystemLoader(FOLDER / "templates"), autoescape=True, undefined=StrictUndefined
)
_environment.globals["static"] = assets.url


@dataclass(frozen=True, slots=True)
class DocsPage:
    """A page and its policy.

    Attributes:
        template: its name.
        policy: directives in place of those of both pages.
    """

    template: str
    policy: dict[str, str]

    def response(self, title: str) -> HTMLResponse:
        html = _environment.get_template(self.template).render(title=title)
        policy = "; ".join(f"{name} {value}" for name, value in (_POLICY | self.policy).items())
        headers = {
            "Content-Security-Policy": policy,
            "Cross-Origin-Resource-Policy": "same-origin",
        }
        return HTMLResponse(html, headers=headers)


SWAGGER = DocsPage("swagger.html", {})
REDOC = DocsPage(
    "redoc.html",
    {
        # styled-components inserts an empty `<style>`, and its rules by script; the scroll bar's
        # `<style>` is the only other one. Both are allowed by the hash of their content.
        "style-src": f"'self' {_EMPTY} {_SCROLLBAR}",
        "worker-src": "blob:",  # the search index
    },
)
