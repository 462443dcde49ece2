"""What holds for every template and every value."""

from __future__ import annotations

from hypothesis import given, strategies as st

from clickpipe.template import Binder
from tests.template.test_renders import program

EVERY_KIND = """%
SELECT {{String(s)}}, {{Int64(i)}}, {{Float64(f)}}, {{Array(a, 'String')}}, {{bare}}, {{Int64(i) + 1}}
WHERE x = <<String(s)>> {% if defined(s) %} AND y = {{String(t, 'a')}} {% end %}
"""


@given(
    s=st.text(),
    t=st.text(),
    i=st.integers(-(2**63), 2**63 - 1),
    f=st.floats(allow_nan=False),
    a=st.lists(st.text(), min_size=2),
    bare=st.text(),
)
def test_the_text_is_the_same_for_all_values_and_the_values_arrive_whole(
    s: str, t: str, i: int, f: float, a: list[str], bare: str
) -> None:
    template = program(EVERY_KIND)
    plain = template.bind(s="s", t="t", i=1, f=1.0, a=["a", "b"], bare="b")
    bound = template.bind(s=s, t=t, i=i, f=f, a=a, bare=bare)
    assert bound.text == plain.text
    assert [bound.params[name] for name in ("s", "t", "i", "f", "a", "bare")] == [s, t, i, f, a, bare]


# Pieces of a template, each with the words of its own text: they are searched in the rendering.
_WORDS = st.integers(0, 999).map(lambda n: f"w{n:03} ")
_PIECES = st.one_of(
    _WORDS,
    st.sampled_from(
        [
            "{{Int32(a, 1)}}",
            "<<String(long_name_of_a_parameter, 'with a default')>>",
            "{# a comment #}",
            "{% if defined(nothing) %} hidden {% end %}",
            "{% if True %} shown {% end %}",
            "{% for i in [1, 2] %} again {{i}} {% end %}",
            "{%- if True -%} tight {%- end -%}",
            "\n",
            "äöü 😀 ",
        ]
    ),
)


@given(st.lists(_PIECES, max_size=20))
def test_every_word_of_a_rendering_is_found_at_its_place_in_the_source(pieces: list[str]) -> None:
    source = "%\n" + "".join(pieces)
    rendered = program(source).trace({}, Binder())
    at = 0
    for word in rendered.text.split():
        at = rendered.text.index(word, at)
        if not word.startswith("{") and "{" not in word:
            span = rendered.locate(at, len(word))
            assert source[span.start : span.start + 1] == word[0]
            if word.startswith("w") and word[1:].isdigit():
                assert source[span.start : span.end] == word
        at += len(word)
