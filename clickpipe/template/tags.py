"""Tags of the dialect that jinja2 does not have: `{% end %}` for any block, `{% while %}`."""

from __future__ import annotations

from collections.abc import Iterator

from jinja2 import TemplateSyntaxError, nodes
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from jinja2.parser import Parser

ENDLESS = "_clickpipe_endless"
_BLOCKS = {"if", "for", "while", "macro", "call", "filter", "block", "with"}
_TAGS = "if, elif, else, for, while, set, macro, call, break, continue, comment, end"


class EndTag(Extension):
    """Replaces `{% end %}` by the tag that closes the innermost open block."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        """Pass the tokens on, tag by tag."""
        open_blocks: list[tuple[str, int]] = []
        tag: list[Token] = []
        for token in stream:
            if token.type == "block_begin" or tag:
                tag.append(token)
                if token.type == "block_end":
                    yield from self._tag(tag, open_blocks)
                    tag = []
            else:
                yield token
        yield from tag
        if open_blocks:
            word, line = open_blocks[-1]
            _fail(f"Missing {{% end %}} block for {word} at line {line}", line)

    def _tag(self, tag: list[Token], open_blocks: list[tuple[str, int]]) -> list[Token]:
        if len(tag) < 2 or tag[1].type != "name":  # noqa: PLR2004 - begin, name, …
            return tag
        word, line = str(tag[1].value), tag[1].lineno
        following = str(tag[2].value)
        block_set = word == "set" and not any(t.type == "assign" for t in tag)
        if word in _BLOCKS or block_set:
            open_blocks.append((word, line))
        elif word == "else" and following == "if":
            _fail("'else if' is written elif", line)
        elif word == "end":
            if not open_blocks:
                _fail("Extra {% end %} block", line)
            tag[1:-1] = [Token(line, "name", f"end{open_blocks.pop()[0]}")]  # `{% end if %}` is accepted, too
        elif word.startswith("end"):
            if not open_blocks or open_blocks[-1][0] != word.removeprefix("end"):
                _fail(f"Extra {{% {word} %}} block", line)
            open_blocks.pop()
        elif word in {"try", "except", "finally", "module", "apply", "whitespace"}:
            _fail(f"{word} is forbidden; the tags are: {_TAGS}", line)
        return tag


def _fail(message: str, line: int) -> None:
    raise TemplateSyntaxError(message, line)


class While(Extension):
    """`{% while condition %} … {% end %}`: an endless loop that breaks when the condition is false."""

    tags = {"while"}  # noqa: RUF012 - as jinja2 declares it

    def parse(self, parser: Parser) -> nodes.Node:
        """Parse the tag to a loop."""
        line = next(parser.stream).lineno
        condition = parser.parse_expression()
        body = parser.parse_statements(("name:endwhile",), drop_needle=True)
        leave = nodes.If(nodes.Not(condition), [nodes.Break()], [], [])
        rounds = nodes.Call(nodes.Name(ENDLESS, "load"), [], [], None, None)
        loop = nodes.For()
        loop.target, loop.iter, loop.body = nodes.Name("_clickpipe_round", "store"), rounds, [leave, *body]
        loop.else_, loop.test, loop.recursive = [], None, False
        return loop.set_lineno(line).set_environment(self.environment)
