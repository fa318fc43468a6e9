"""Text that a spreadsheet shows and does not calculate."""

# What spreadsheets begin a formula with, whatever their language; after OWASP's "CSV Injection".
_BEGINS_FORMULA = tuple("=+-@\t\r\n＝＋－＠")


def defused(text: str) -> str:
    """A formula gets an apostrophe before it; so does one that has some, to be told from it."""
    return f"'{text}" if text.lstrip("'").startswith(_BEGINS_FORMULA) else text


def undefused(cell: str) -> str:
    """The text of which `defused` made `cell`."""
    is_defused = cell.startswith("'") and cell.lstrip("'").startswith(_BEGINS_FORMULA)
    return cell[1:] if is_defused else cell
