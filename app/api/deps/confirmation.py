"""`Confirmed`: a dependency of routes for grave actions."""

from fastapi import Depends

from app.api.deps.auth import CurrentPrincipal, EnrollingUser
from app.api.deps.services import Confirmations


async def require_confirmation(caller: CurrentPrincipal, confirmations: Confirmations) -> None:
    """Check that the caller logged in, or confirmed, within the last ten minutes, or is an API key,
    which was confirmed when it was made.

    Raises:
        ConfirmationRequiredException: they did not.
    """
    await confirmations.require(caller)


async def require_confirmation_to_enrol(
    caller: EnrollingUser, confirmations: Confirmations
) -> None:
    """The same for callers who set up a second factor."""
    await confirmations.require(caller)


Confirmed = Depends(require_confirmation)
ConfirmedToEnrol = Depends(require_confirmation_to_enrol)
