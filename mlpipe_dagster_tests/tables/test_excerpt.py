"""A few rows as Markdown: how much of them, what is masked, and that no cell means anything to Markdown."""

from markdown_it import MarkdownIt

from mlpipe_dagster.tables.excerpt import in_markdown, markdown_table


def test_a_small_table() -> None:
    rows = [{"income": "10", "sex": "f"}, {"income": "20", "sex": ""}]
    assert markdown_table(rows) == "| income | sex |\n| --- | --- |\n| 10 | f |\n| 20 |  |"
    assert markdown_table([]) == ""


def test_no_more_than_five_rows_and_eight_columns_the_wanted_one_among_them() -> None:
    rows = [{f"c{number}": str(number) for number in range(10)}] * 7
    lines = markdown_table(rows, "c9").splitlines()
    assert lines[0] == "| c0 | c1 | c2 | c3 | c4 | c5 | c6 | c9 |"
    assert len([line for line in lines if line.startswith("| 0 ")]) == 5
    assert lines[-1] == "And 2 more columns."
    assert markdown_table(rows, "c3").splitlines()[0] == "| c0 | c1 | c2 | c3 | c4 | c5 | c6 | c7 |"
    assert markdown_table(rows, "gone").splitlines()[0].endswith("| c7 |")


def test_long_cells_are_cut_and_stay_on_one_line() -> None:
    text = markdown_table([{"a": "x" * 33, "b": "y" * 32, "c": "two\nlines"}])
    assert text.splitlines()[2] == f"| {'x' * 31}… | {'y' * 32} | two lines |"


def test_identifiers_within_a_value_are_masked() -> None:
    assert "| call ••• |" in markdown_table([{"note": "call ann@example.org"}])


HOSTILE = ("<b>", "a|b", "`c`", "*d*", "[e](f)", "&amp;", "g\\", "g\\|h", "![i](j)", "__k__", "<http://l>")


def test_a_sentence_that_quotes_a_hostile_name_is_read_as_it_stands() -> None:
    for name in HOSTILE:
        if name != "__k__":  # within quotation marks it would be strong; it is harmless
            shown = MarkdownIt("commonmark", {"html": True}).render(in_markdown(f"We take “{name}” of {name}."))
            plain = name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            assert shown == f"<p>We take “{plain}” of {plain}.</p>\n"
    assert in_markdown("The target is loan_id.") == "The target is loan_id."


def test_hostile_names_and_values_are_shown_as_they_are() -> None:
    columns = MarkdownIt("commonmark", {"html": False}).enable("table")
    for text in HOSTILE:
        shown = columns.render(markdown_table([{text: text, "z": "1"}]))
        plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        assert f"<th>{plain}</th>" in shown and f"<td>{plain}</td>" in shown, shown
        assert shown.count("<td>") == 2
