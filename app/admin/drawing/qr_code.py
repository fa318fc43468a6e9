"""Geometry of QR codes, which a template draws as SVG."""

from typing import NamedTuple

import segno


class QrCode(NamedTuple):
    """A QR code.

    Attributes:
        size: modules across.
        path: of the dark modules, each a square of one unit.
    """

    size: int
    path: str


def qr_code(content: str) -> QrCode:
    matrix = segno.make(content, error="m").matrix
    dark = [
        f"M{x} {y}h1v1h-1z"
        for y, row in enumerate(matrix)
        for x, is_dark in enumerate(row)
        if is_dark
    ]
    return QrCode(len(matrix), "".join(dark))
