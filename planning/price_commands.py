"""The command `headwater prices`."""

from __future__ import annotations

import json as json_text
from typing import Any


def prices(book: str | None = None, /, *, json: bool = False) -> None:
    """Show the price books that are here, or what one of them says.

    Example: headwater prices thesis-2025-list

    A price book is a TOML file with a currency, a date, a source, and what servers, functions, devices, messages,
    transfers and power cost; docs/prices.md describes it. One of your own goes wherever a book is asked for.

    Args:
        book: a book's name, or a file of your own
        json: print JSON instead of the table
    """
    import msgspec

    from models.columns import in_columns
    from planning.prices import load_book, shipped_books

    found = [load_book(name) for name in ([book] if book else shipped_books())]
    if json:
        plain = [msgspec.to_builtins(one) for one in found]
        print(json_text.dumps(plain[0] if book else plain, indent=1))
    elif book:
        _print_book(found[0])
    else:
        rows = [[one.name, one.currency, one.date, one.source] for one in found]
        print(in_columns(["book", "currency", "as of", "source"], rows))


def _print_book(book: Any) -> None:
    from models.columns import in_columns
    from planning.price_rows import price_rows

    print(f"{book.name}: {book.currency}, as of {book.date}\n{book.source}\n{book.note}".rstrip(), end="\n\n")
    month = f"{book.currency} a month"
    print(in_columns(["what", "name", "price", month], price_rows(book), {month}))
