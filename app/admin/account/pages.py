"""The pages that links in mails lead to, and the one that requests such a mail."""

from app.admin.account.link_page import LinkPage
from app.admin.rendering import ACCOUNT

RECOVERY = LinkPage(
    "password-recovery",
    "Forgot your password?",
    "Enter the email of your account. We send it a link to set a new password.",
    "Send the link",
    again=("", ""),
    template="account/recovery.html",
    fields=("email",),
    needs_token=False,
)
RESET = LinkPage(
    "password-reset",
    "Set a new password",
    "It ends all sessions of your account: you log in again, everywhere.",
    "Set the password",
    again=("Get a new link", RECOVERY.path),
    template="account/reset.html",
    secrets=("new_password",),
)
VERIFICATION = LinkPage(
    "email-verification",
    "Verify your email",
    "It shows that mail to this address reaches you.",
    "Verify the email",
    again=("Log in to get a new link", ACCOUNT),
)
EMAIL_CHANGE = LinkPage(
    "email-change",
    "Confirm your new email",
    "Your account has this email from then on. The old one gets a link to undo that.",
    "Change the email",
    again=("Log in to request it again", f"{ACCOUNT}/email"),
)
EMAIL_CHANGE_UNDO = LinkPage(
    "email-change-undo",
    "Restore your old email",
    "It ends all sessions of your account, removes API keys and second factors that were "
    "added since, and mails you a link to set a new password.",
    "Restore the email",
    again=("Log in", f"{ACCOUNT}/login"),
)
DELETION_UNDO = LinkPage(
    "deletion-undo",
    "Keep your account",
    "It undoes the deletion: your account is active again, with all its data.",
    "Undo the deletion",
    again=("Log in", f"{ACCOUNT}/login"),
)
INVITATION = LinkPage(
    "invitation",
    "Accept the invitation",
    "It makes an account with the email that you were invited by.",
    "Make the account",
    again=("Log in if you have an account already", f"{ACCOUNT}/login"),
    template="account/invitation.html",
    fields=("username", "full_name"),
    secrets=("password",),
)
