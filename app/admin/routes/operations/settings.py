"""The page of the settings, and of where to click for the work of operators."""

from typing import Annotated

from fastapi import Query, Request, Response

from app.admin.deps.pages import PageDep
from app.admin.rendering import BASE
from app.admin.services.guides import GUIDES
from app.admin.services.settings_report import settings_report
from app.api.routing import Router
from app.api.runtime import runtime_of
from app.core.config.settings import named_in_file
from app.schemas.base import Text

router = Router(prefix=f"{BASE}/settings", include_in_schema=False)


@router.get("", name="dashboard_settings")
async def settings_view(
    request: Request, page: PageDep, name: Annotated[Text, Query(max_length=64)] = ""
) -> Response:
    """All settings of this process, without secrets; the group of the one of a name is open."""
    groups = settings_report(runtime_of(request).settings, named_in_file())
    return page.render("settings/settings.html", groups=groups, guides=GUIDES, name=name)
