"""The page of the settings, and of where to click for the work of operators."""

from fastapi import Request, Response

from app.admin.deps.pages import PageDep
from app.admin.rendering import BASE
from app.admin.services.guides import GUIDES
from app.admin.services.settings_report import settings_report
from app.api.routing import Router
from app.api.runtime import runtime_of
from app.core.config.settings import named_in_file

router = Router(prefix=f"{BASE}/settings", include_in_schema=False)


@router.get("", name="dashboard_settings")
async def settings_view(request: Request, page: PageDep) -> Response:
    """All settings of this process, without secrets."""
    groups = settings_report(runtime_of(request).settings, named_in_file())
    return page.render("settings/settings.html", groups=groups, guides=GUIDES)
