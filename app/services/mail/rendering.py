"""Mail templates: HTML and text from one source."""

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import BaseLoader, ChoiceLoader, Environment, FileSystemLoader, StrictUndefined

BUILT_IN = Path(__file__).resolve().parent / "templates"
_WIDTH = 72
"""Characters of a line of text, unless it is one long word such as a link."""


@dataclass(frozen=True, slots=True)
class MailContent:
    """A rendered mail."""

    subject: str
    html: str
    text: str


def _paragraph(text: str) -> str:
    """`text` as a paragraph of plain text; a link stays in one piece."""
    return textwrap.fill(
        " ".join(text.split()), _WIDTH, break_long_words=False, break_on_hyphens=False
    )


def _environment(loader: BaseLoader, *, is_html: bool) -> Environment:
    environment = Environment(
        loader=loader,
        autoescape=is_html,  # noqa: S701  # the other is for plain text
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["paragraph"] = _paragraph
    return environment


class MailTemplates:
    """Renders the templates of `templates/`, each with two layouts.

    A template, such as `test-mail.j2`, has the blocks `subject`, `preheader` and `body`, and builds
    the body of the macros in `parts.html` and `parts.txt`.

    Args:
        app_name: shown as the sender's name.
        base_url: beginning of links.
        own: folder with templates that replace built-in ones of the same name.
    """

    def __init__(self, app_name: str, base_url: str, own: Path | None = None) -> None:
        folders: Sequence[Path] = [BUILT_IN] if own is None else [own, BUILT_IN]
        loader = ChoiceLoader([FileSystemLoader(folder) for folder in folders])
        self._html = _environment(loader, is_html=True)
        self._text = _environment(loader, is_html=False)
        self._context = {"app_name": app_name, "base_url": base_url}

    def render(self, name: str, /, **context: Any) -> MailContent:
        """Render the template `name`.

        Raises:
            jinja2.TemplateError: there is no such template, or it is wrong.
        """
        context = self._context | context
        subject = self._block(name, "subject", context)

        def render(environment: Environment, ending: str) -> str:
            return environment.get_template(f"{name}.j2").render(
                context,
                subject=subject,
                layout=f"layout.{ending}",
                parts=f"parts.{ending}",
            )

        text = re.sub(r"\n{3,}", "\n\n", render(self._text, "txt").strip())
        return MailContent(subject, render(self._html, "html"), f"{text}\n")

    def _block(self, name: str, block: str, context: dict[str, Any]) -> str:
        template = self._text.get_template(f"{name}.j2")
        return "".join(template.blocks[block](template.new_context(context))).strip()
