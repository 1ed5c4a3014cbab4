"""Where words stand: by their own lines, through continuations, comments and macros."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from seawall.cli.lint.site import read_site
from seawall.cli.lint.written import assignments_in, words_of
from seawall.config.settings import Settings, load
from tests.cli.lint.cases import HOST, NOW

MAIN = "/etc/postfix/main.cf"


def placed(text: str, name: str) -> list[tuple[str, int | None]]:
    settings = Settings.from_text(text, host=HOST)
    assignments = {each.name: each for each in assignments_in(text, MAIN)}
    words = words_of(settings, name, assignments)
    assert tuple(word.text for word in words) == settings.words(name)
    return [(word.text, word.location.line if word.location else None) for word in words]


def test_a_word_of_a_continued_value_stands_in_its_own_line() -> None:
    text = "a = 1\nb = one,\n   two\n# three\n\n   four five\nc = 2\n"
    assert placed(text, "b") == [("one", 2), ("two", 3), ("four", 6), ("five", 6)]


def test_the_words_of_a_macro_stand_where_it_is_set() -> None:
    text = "mine = one\n  two\nb = zero, $mine,\n  ${mine} x$mine\n"
    assert placed(text, "b") == [("zero", 3), ("one", 1), ("two", 2), ("one", 1), ("two", 2), ("xone", 4), ("two", 4)]


def test_a_macro_that_names_itself_does_not_go_round_for_ever() -> None:
    settings = Settings.from_text("b = $b\n", host=HOST)
    assignments = {each.name: each for each in assignments_in("b = $b\n", MAIN)}
    assert words_of(settings, "b", assignments) == ()


def test_the_last_assignment_counts() -> None:
    assert placed("b = one\nb = two\n", "b") == [("two", 2)]


def test_a_default_stands_nowhere() -> None:
    assert placed("", "smtpd_forbidden_commands")[0] == ("CONNECT", None)


@given(
    st.lists(
        st.sampled_from(["one", "two,", "{ a b }", "$mine", "\n  three", "\n# no\n x", "${mine?{p}:{q}}"]), max_size=8
    )
)
def test_words_are_always_those_of_the_settings(words: list[str]) -> None:
    placed("mine = m,n\nb = " + " ".join(words) + "\n", "b")


def test_an_override_stands_in_its_own_line_of_master_cf(tmp_path: Path) -> None:
    etc = tmp_path / "etc/postfix"
    etc.mkdir(parents=True)
    (etc / "main.cf").write_text("myhostname = mx.example.com\n")
    (etc / "master.cf").write_text(
        "smtp inet n - n - - smtpd\n  -o smtpd_helo_required=yes\n# -o smtpd_timeout=1\n"
        "  -o { smtpd_timeout = 30 }\nsmtps inet n - n - - smtpd -o smtpd_timeout=40\n"
    )
    first, second = read_site(load("/etc/postfix", str(tmp_path), HOST), NOW).views
    assert [str(first.where(name)) for name in ("smtpd_helo_required", "smtpd_timeout")] == [
        "/etc/postfix/master.cf, line 2",
        "/etc/postfix/master.cf, line 4",
    ]
    assert str(second.where("smtpd_timeout")) == "/etc/postfix/master.cf, line 5"
