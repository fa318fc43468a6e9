"""What a program does with the generated client: `smoke.py URL EMAIL PASSWORD`.

It runs where the client's packages are, and none of ours.
"""

import sys

from backend_client import AuthenticatedClient, Client
from backend_client.api.auth import login
from backend_client.api.users import create_user, get_me, list_users
from backend_client.models import (
    ErrorSchema,
    LoginRequest,
    TokenSchema,
    UserCreate,
    UserPage,
    UserSchema,
)


def main(url: str, email: str, password: str) -> None:
    anybody = Client(base_url=url)
    tokens = login.sync(client=anybody, body=LoginRequest(email=email, password=password))
    assert isinstance(tokens, TokenSchema), tokens

    superuser = AuthenticatedClient(base_url=url, token=tokens.access_token)
    me = get_me.sync(client=superuser)
    assert isinstance(me, UserSchema), me
    assert (me.email, me.is_superuser) == (email, True)

    page = list_users.sync(client=superuser, is_superuser=True, search=email)
    assert isinstance(page, UserPage), page
    assert [user.id for user in page.items] == [me.id]

    refusal = create_user.sync(client=superuser, body=UserCreate(email="no email", password="x"))
    assert isinstance(refusal, ErrorSchema), refusal
    assert (refusal.error, refusal.details[0].field) == ("validation_error", "email")


if __name__ == "__main__":
    main(*sys.argv[1:])
