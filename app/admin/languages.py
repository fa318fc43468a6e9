"""The languages of the pages, and which of them a request gets."""

from fastapi import Request

from app.admin import cookies

ENGLISH = "en"
LANGUAGES = {ENGLISH: "English", "de": "Deutsch"}
"""Each language by its code, with its own name for itself. All but English have a catalog in
`app/admin/locale`."""
MAX_HEADER = 200
"""Characters of `Accept-Language` that are read; browsers send fewer than 100."""


def language_of(request: Request) -> str:
    """The code of the language that the user chose, or else that the browser asks for."""
    chosen = cookies.read(request, "language")
    if chosen in LANGUAGES:
        return str(chosen)
    return preferred(request.headers.get("Accept-Language", ""))


def preferred(header: str) -> str:
    """The best of our languages for an `Accept-Language` header; English where none matches.

    `de-AT` is served by `de`. Of languages that are accepted equally, the first one is taken.
    """
    weights: dict[str, float] = {}
    for part in header[:MAX_HEADER].split(","):
        tag, _, parameter = part.partition(";")
        code = tag.strip().partition("-")[0].lower()
        weight = _weight(parameter)
        if code in LANGUAGES and weight > weights.get(code, 0.0):
            weights[code] = weight
    return max(weights, key=weights.__getitem__, default=ENGLISH)


def _weight(parameter: str) -> float:
    """0.5 for `q=0.5`; 1 without one; 0, which accepts nothing, for one that is not valid."""
    name, _, value = parameter.partition("=")
    if not name.strip():
        return 1.0
    try:
        weight = float(value)
    except ValueError:
        return 0.0
    return weight if name.strip() == "q" and 0 < weight <= 1 else 0.0
