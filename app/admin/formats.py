"""`Formats`: the filters of templates that write figures and times in the language of a page."""

from datetime import UTC, datetime

from jinja2.filters import do_filesizeformat

from app.admin.translation import N_, NN_, Translation
from app.core.device import device_in_words

RECENT = 30 * 86_400
"""Seconds before and after now for which a time is shown relative to it."""
NOTHING = "–"
"""Shown for a figure that is not available."""
LABELS = (
    N_("Active"),
    N_("Code"),
    N_("Current password"),
    N_("Description"),
    N_("Email"),
    N_("Expires at"),
    N_("File"),
    N_("Full name"),
    N_("Hashed password"),
    N_("Name"),
    N_("New password"),
    N_("Page"),
    N_("Password"),
    N_("Permissions"),
    N_("Reason"),
    N_("Roles"),
    N_("Row"),
    N_("Search"),
    N_("Superuser"),
    N_("Token"),
    N_("Username"),
)
"""Names of fields, as `label` makes them."""

STATES = (
    N_("Waiting"),
    N_("Delayed"),
    N_("Running"),
    N_("Failed"),
    N_("Done"),
    N_("Cancelled"),
    N_("Pending"),
    N_("Accepted"),
    N_("Revoked"),
    N_("Expired"),
    N_("Sent"),
    N_("Deferred"),
    N_("Success"),
    N_("Failure"),
    N_("Refused"),
    N_("Denied"),
    N_("Import"),
    N_("Export"),
    N_("slow"),
    N_("environment"),
    N_("Unknown device"),
    N_("%(browser)s on %(system)s"),
)
"""Words that templates make of values."""
UNITS = {
    86_400: (
        NN_("%(count)s day", "%(count)s days"),
        NN_("%(count)s day ago", "%(count)s days ago"),
        NN_("in %(count)s day", "in %(count)s days"),
    ),
    3600: (
        NN_("%(count)s hour", "%(count)s hours"),
        NN_("%(count)s hour ago", "%(count)s hours ago"),
        NN_("in %(count)s hour", "in %(count)s hours"),
    ),
    60: (
        NN_("%(count)s minute", "%(count)s minutes"),
        NN_("%(count)s minute ago", "%(count)s minutes ago"),
        NN_("in %(count)s minute", "in %(count)s minutes"),
    ),
    1: (
        NN_("%(count)s second", "%(count)s seconds"),
        NN_("%(count)s second ago", "%(count)s seconds ago"),
        NN_("in %(count)s second", "in %(count)s seconds"),
    ),
}
"""By the seconds of a unit: a time in it, one that has passed, and one to come."""
SPAN, PAST, FUTURE = range(3)


class Formats:
    """Writes figures and times; English without a library, other languages with Babel."""

    def __init__(self, translation: Translation) -> None:
        self._translation = translation

    @property
    def filters(self) -> dict[str, object]:
        """The methods that templates use, by the names of the filters."""
        names = (
            "number duration percent change period span ago relative clock hour day date minute "
            "second when label device filesizeformat"
        )
        return {name: getattr(self, name) for name in names.split()}

    def number(self, value: float | None, digits: int = 0) -> str:
        """`12,345`."""
        return NOTHING if value is None else self._decimal(value, digits)

    def duration(self, milliseconds: float | None) -> str:
        """`0.8 ms`, `12 ms`, `1.2 s`."""
        if milliseconds is None:
            return NOTHING
        if milliseconds >= 1000:
            return f"{self._decimal(milliseconds / 1000, 1, grouped=False)} s"
        return f"{self._decimal(milliseconds, 1 if milliseconds < 10 else 0)} ms"

    def percent(self, part: float | None) -> str:
        """`98.5 %` for 0.985."""
        return NOTHING if part is None else f"{self._decimal(part * 100, 1)} %"

    def change(self, part: float) -> str:
        """`+8 %` for 0.08."""
        sign = "-" if part < 0 else "+"
        return f"{sign}{self._decimal(abs(part) * 100)} %"

    def period(self, name: str) -> str:
        """`24 hours` for `24h`, `7 days` for `7d`."""
        unit = 3600 if name[-1] == "h" else 86_400
        return self._counted(int(name[:-1]), UNITS[unit][SPAN])

    def span(self, seconds: float) -> str:
        """`40 seconds`, `5 minutes`, `3 hours`, `2 days`."""
        return self._span(seconds, SPAN)

    def ago(self, moment: datetime) -> str:
        """`a moment ago`, `2 minutes ago`."""
        seconds = (datetime.now(UTC) - moment).total_seconds()
        if seconds < 10:
            return self._translation.gettext("a moment ago")
        return self._span(seconds, PAST)

    def relative(self, moment: datetime) -> str:
        """`2 minutes ago`, `in 3 days`; the date, where it is more than 30 days from now."""
        seconds = (moment - datetime.now(UTC)).total_seconds()
        if abs(seconds) > RECENT:
            return self.date(moment)
        if seconds < 10:
            return self.ago(moment)
        return self._span(seconds, FUTURE)

    def clock(self, moment: datetime) -> str:
        return f"{moment:%H:%M:%S}"

    def hour(self, moment: datetime) -> str:
        """`14:00`."""
        return f"{moment:%H:%M}"

    def day(self, moment: datetime) -> str:
        """`7 Nov`."""
        return f"{moment:%-d %b}" if self._is_english else self._by_babel("MMMd", moment)

    def date(self, moment: datetime) -> str:
        """`7 Nov 2026`."""
        return f"{moment:%-d %b %Y}" if self._is_english else self._by_babel("yMMMd", moment)

    def minute(self, moment: datetime) -> str:
        """`7 Nov 2026, 14:05 UTC`."""
        return f"{self.date(moment)}, {moment:%H:%M} UTC"

    def second(self, moment: datetime) -> str:
        """`7 Nov 2026, 14:05:09 UTC`."""
        return f"{self.date(moment)}, {self.clock(moment)} UTC"

    def when(self, written: str) -> str:
        """The day of a time in ISO 8601, or the minute where it is not written as a day."""
        moment = datetime.fromisoformat(written)
        return self.minute(moment) if "T" in written else self.date(moment)

    def label(self, field: str) -> str:
        """`Full name` for `full_name`, `Active` for `is_active`."""
        words = field.removeprefix("is_").replace("_", " ").capitalize()
        return self._translation.translated(words)

    def device(self, user_agent: str | None) -> str:
        """`Firefox on Windows`."""
        return self._translation.translated(device_in_words(user_agent))

    def filesizeformat(self, size: float, binary: bool = False) -> str:  # noqa: FBT001, FBT002  # Jinja's
        """`1.5 MiB`."""
        written = do_filesizeformat(size, binary)
        amount, _, unit = written.partition(" ")
        if self._is_english or "." not in amount:
            return written
        return f"{self._decimal(float(amount), 1)} {unit}"

    @property
    def _is_english(self) -> bool:
        return self._translation.is_english

    def _span(self, seconds: float, kind: int) -> str:
        unit = next((unit for unit in UNITS if seconds >= 1.5 * unit), 1)
        return self._counted(round(seconds / unit), UNITS[unit][kind])

    def _counted(self, count: int, forms: tuple[str, str]) -> str:
        return self._translation.ngettext(*forms, count) % {"count": count}

    def _decimal(self, value: float, digits: int = 0, *, grouped: bool = True) -> str:
        if self._is_english:
            return f"{value:,.{digits}f}" if grouped else f"{value:.{digits}f}"
        from babel.numbers import format_decimal  # noqa: PLC0415

        pattern = f"{'#,##' if grouped else ''}0{'.' + '0' * digits if digits else ''}"
        return format_decimal(value, pattern, locale=self._translation.language)

    def _by_babel(self, skeleton: str, moment: datetime) -> str:
        from babel.dates import format_skeleton  # noqa: PLC0415

        return format_skeleton(skeleton, moment, locale=self._translation.language)
