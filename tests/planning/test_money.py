"""Bills, where they meet, and price books."""

from pathlib import Path

import pytest

from planning.errors import PlanError
from planning.money import Bill, break_even, energy_j, servers_for, users_per_server
from planning.price_rows import price_rows
from planning.prices import load_book, parse_book, shipped_books

HEAD = 'format = 1\ncurrency = "EUR"\ndate = "2024"\nsource = "a bill"\n'


def test_a_bill_adds_fixed_and_running_costs() -> None:
    """Two of them add up; nothing asked still costs what stands ready."""
    both = Bill(30.0) + Bill(10.0, 0.5)
    assert both.month(0) == 40
    assert both.month(100) == 90


def test_bills_meet_where_the_standing_one_begins_to_pay() -> None:
    """Under that number of requests the running one is cheaper, from there on the other."""
    function, server = Bill(per_request=0.25), Bill(40.0)
    meeting = break_even(function, server)
    assert meeting == 160
    assert function.month(159) < server.month(159)
    assert function.month(161) > server.month(161)


def test_bills_that_never_meet_say_so() -> None:
    """Where a request costs no less on the standing one, it never pays; where it stands for nothing, always."""
    assert break_even(Bill(per_request=0.1), Bill(40.0, 0.1)) is None
    assert break_even(Bill(50.0, 0.1), Bill(40.0)) == 0


def test_servers_follow_from_the_share_that_a_device_takes() -> None:
    """As in Leroy and Goedemé's table 4: 10 users at 9.5 % of a processor each make 500 instances for 5,000."""
    assert users_per_server(0.095) == 10
    assert servers_for(5000, 10) == 500
    assert servers_for(5000, 228) == 22
    with pytest.raises(PlanError, match="larger server"):
        users_per_server(0.96)
    with pytest.raises(PlanError, match="measure it"):
        users_per_server(0)
    assert energy_j(5.0, 0.2) == 1.0


def test_the_shipped_books_hold_the_documents_prices() -> None:
    """Read and worked out, they give the documents' own figures."""
    leroy, thesis = load_book("leroy-2021"), load_book("thesis-2025-printed")
    assert leroy.server_bill("t2-micro").fixed * 500 == pytest.approx(3763.5, abs=0.05)
    assert leroy.device_month("jetson-nano") == pytest.approx(122 / 12 + 1.46)
    assert thesis.servers["region"].month(0) == pytest.approx(2.856)
    assert thesis.servers["wavelength"].month(0) == pytest.approx(3.72)
    assert thesis.functions["lambda"].request(60) == pytest.approx(2e-7 + 0.004002 + 0.052848)
    assert load_book("luger-2023").device_month("own") == 0


def test_the_thesis_break_even_follows_from_its_book() -> None:
    """About 150,000 requests a month, with the seconds per request for which that is true; see docs/prices.md."""
    book = load_book("thesis-2025-printed")
    meeting = break_even(book.function_bill("lambda", 0.267), book.server_bill("region"))
    assert meeting == pytest.approx(150_000, rel=0.01)


def test_every_shipped_book_is_read_and_shown() -> None:
    """Each has a row for whatever has a price, and says where it is from."""
    for name in shipped_books():
        book = load_book(name)
        assert book.source
        assert len(price_rows(book)) >= len(book.servers) + len(book.devices) + len(book.functions)


def test_messages_are_metered_in_pieces() -> None:
    """Each begun piece counts, in and out, and an empty message is one too."""
    metered = load_book("thesis-2025-list").messages["aws-iot"]
    assert [metered.message(size) / 1e-6 for size in (0, 5120, 5121, 25_600)] == pytest.approx([2, 2, 4, 10])


def test_transfer_is_free_up_to_an_amount() -> None:
    """Nothing is ever given back."""
    internet = load_book("thesis-2025-list").transfers["internet"]
    assert internet.month(40) == 0
    assert internet.month(150) == pytest.approx(4.5)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("currency = ", "not TOML"),
        (HEAD.replace("format = 1", "format = 9"), "update the older"),
        (HEAD.replace('"EUR"', '"euro"'), "currency"),
        (HEAD.replace('"2024"', '"last year"'), "date"),
        (HEAD.replace('source = "a bill"\n', ""), "source is missing"),
        (HEAD + "per_kwhs = 0.2\n", "did you mean per_kwh"),
        (HEAD + "per_kwh = -0.2\n", "per_kwh"),
        (HEAD + "per_kwh = nan\n", "per_kwh"),
        (HEAD + "[servers.a]\nper_hour = -1\n", "servers.a.per_hour"),
        (HEAD + "[servers.a]\n", "servers.a.per_hour is missing"),
        (HEAD + "[servers.a]\nper_hour = 1\nper_hours = 1\n", "did you mean per_hour"),
        (HEAD + '[servers."A b"]\nper_hour = 1\n', "a name of"),
        (HEAD + "servers = 3\n", "table"),
        (HEAD + "[devices.a]\nmonths = 0\n", "months"),
        (HEAD + "[messages.a]\nper_message = 1\nmetered_bytes = 0\n", "metered_bytes"),
    ],
)
def test_a_bad_book_is_one_line_that_names_the_key(text: str, match: str) -> None:
    """What is wrong, what was got and what to do, in one line and no traceback."""
    with pytest.raises(PlanError, match=match) as caught:
        parse_book(text, "mine", "mine.toml")
    assert "\n" not in str(caught.value).strip()


def test_a_book_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    """A wrong name, a folder, a binary file and a huge file are all told in a line."""
    with pytest.raises(PlanError, match="leroy-2021"):
        load_book("leroy")
    with pytest.raises(PlanError, match="no price book"):
        load_book(str(tmp_path))
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(PlanError, match="cannot be read"):
        load_book(str(tmp_path / "b.toml"))
    (tmp_path / "c.toml").write_text("#" * 300_000)
    with pytest.raises(PlanError, match="no price book"):
        load_book(str(tmp_path / "c.toml"))


def test_what_is_not_in_a_book_is_named() -> None:
    """With the nearest name, or with the words that there is none."""
    book = load_book("leroy-2021")
    with pytest.raises(PlanError, match="did you mean jetson-nano"):
        book.device_month("jetson")
    with pytest.raises(PlanError, match="expected none"):
        book.function_bill("lambda", 1.0)
    assert book.device(None) is not None
    assert book.broker(None) is None
