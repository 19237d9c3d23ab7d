"""The grammar of formulas: text to a small syntax tree, with the position of every node.

    formula  := [shape "->" shape] left "=" [ "sum" "[" binders "]" ] product
    index    := the usual integer expressions with + - * / // % ^ and parentheses

Nothing is evaluated here, and nothing is ever executed as Python.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from syno.ir.errors import ParseError, SizeError
from syno.ir.limits import MAX_DEPTH, MAX_ENTRIES, MAX_NAME, MAX_NAMES, MAX_SIGNS, MAX_TEXT
from syno.ir.size import LARGEST_LITERAL, Size

_TOKEN = re.compile(
    r"\s*(?:(?P<name>[A-Za-z_][A-Za-z_0-9]*)|(?P<int>[0-9]+)"
    r"|(?P<op>->|//|\*\*|\.\.\.|\.\.|[-+*/%^()\[\],:=]))"
)


@dataclass(frozen=True)
class Token:
    """One token: `kind` is name, int, op or end."""

    kind: str
    text: str
    position: int


@dataclass(frozen=True)
class Node:
    """A syntax node: `op` is name, int, group, tuple, rest, or a binary operator."""

    op: str
    text: str
    args: tuple[Node, ...]
    position: int


class Reader:
    """A cursor over the tokens of one text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _tokenize(text)
        self.index = 0
        self.depth = 0
        self.signs = 0

    @property
    def now(self) -> Token:
        """The token under the cursor."""
        return self.tokens[self.index]

    def error(self, message: str, position: int | None = None) -> ParseError:
        """Return a ParseError at `position` or at the cursor."""
        where = self.now.position if position is None else position
        return ParseError(message, self.text, where)

    def take(self, text: str) -> bool:
        """Step over the token `text` if it stands here."""
        if self.now.text == text and self.now.kind != "end":
            self.index += 1
            return True
        return False

    def expect(self, text: str, after: str) -> None:
        """Step over the token `text` or raise."""
        if not self.take(text):
            found = self.now.text or "the end"
            raise self.error(f"Expected {text!r} {after}, found {found!r}.")

    def name(self, what: str) -> Token:
        """Step over a name and return it."""
        token = self.now
        if token.kind != "name":
            raise self.error(f"Expected {what}, found {token.text or 'the end'!r}.")
        self.index += 1
        return token

    def entries(self, opened: str, what: str) -> Iterator[int]:
        """Step over `[`, the commas and `]` of a list; the caller reads each entry yielded."""
        self.expect("[", opened)
        count = 0
        while not self.take("]"):
            if count:
                self.expect(",", f"or ']' after {what}")
            if count == MAX_ENTRIES:
                raise self.error(f"Too many entries: a list holds at most {MAX_ENTRIES}.")
            yield count
            count += 1

    def sum(self) -> Node:
        """Read a sum of products."""
        if self.depth == 0:
            self.signs = 0
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(
                f"The expression is nested too deeply: write at most {MAX_DEPTH} parentheses "
                "inside each other."
            )
        negative = self.now if self.take("-") else None
        node = self._product()
        if negative:
            zero = Node("int", "0", (), negative.position)
            node = Node("-", "-", (zero, node), negative.position)
        while self.now.text in ("+", "-"):
            sign = self._sign()
            node = Node(sign.text, sign.text, (node, self._product()), sign.position)
        self.depth -= 1
        return node

    def _product(self) -> Node:
        node = self._power()
        while self.now.text in ("*", "/", "//", "%"):
            sign = self._sign()
            node = Node(sign.text, sign.text, (node, self._power()), sign.position)
        return node

    def _power(self) -> Node:
        node = self._atom()
        if self.now.text in ("^", "**"):
            sign = self._sign()
            node = Node("^", "^", (node, self._atom()), sign.position)
        return node

    def _sign(self) -> Token:
        """Step over an operator and return it."""
        self.signs += 1
        if self.signs > MAX_SIGNS:
            raise self.error(f"The expression is too long: write at most {MAX_SIGNS} operators.")
        self.index += 1
        return self.tokens[self.index - 1]

    def _atom(self) -> Node:
        token = self.now
        if token.kind in ("name", "int"):
            self.index += 1
            return Node(token.kind, token.text, (), token.position)
        if self.take("("):
            inner = self.sum()
            self.expect(")", "to close the parenthesis")
            return Node("group", "()", (inner,), token.position)
        raise self.error(f"Expected a name, a number or '(', found {token.text or 'the end'!r}.")


def parse_size(text: str) -> Size:
    """Read a size; see Size.parse."""
    reader = Reader(text)
    node = reader.sum()
    if reader.now.kind != "end":
        raise reader.error(f"Unexpected {reader.now.text!r} after the size.")
    return size_of(node, text)


def size_of(node: Node, text: str) -> Size:
    """Return the size that `node` writes; ParseError where it is none."""
    size = factor_of(node, text)
    if not size.may_be_whole:
        raise ParseError(
            f"{size} is no whole number, whatever its symbols stand for: a size is a positive "
            "integer.",
            text,
            node.position,
        )
    return size


def factor_of(node: Node, text: str) -> Size:
    """Return the monomial that `node` writes, which need not be whole: `1/g` in `c*C_in*(1/g)`."""
    try:
        return _monomial(node, text)
    except SizeError as error:
        raise ParseError(str(error), text, node.position) from None


def _monomial(node: Node, text: str) -> Size:
    if node.op == "name":
        return Size.symbol(node.text)
    if node.op == "int":
        return Size.integer(int(node.text))
    if node.op == "group":
        return _monomial(node.args[0], text)
    if node.op == "^":
        return _monomial(node.args[0], text) ** _exponent(node.args[1], text)
    if node.op in ("*", "/"):
        left, right = (_monomial(each, text) for each in node.args)
        return left * right if node.op == "*" else left / right
    raise ParseError(
        f"A size is a product of symbols and numbers; {node.text!r} cannot stand in it.",
        text,
        node.position,
    )


def _exponent(node: Node, text: str) -> int:
    if node.op == "group":
        return _exponent(node.args[0], text)
    if node.op == "-" and node.args[0].text == "0":
        return -_exponent(node.args[1], text)
    if node.op == "int" and int(node.text) <= 64:
        return int(node.text)
    raise ParseError("An exponent is a whole number, at most 64.", text, node.position)


def _tokenize(text: str) -> list[Token]:
    if len(text) > MAX_TEXT:
        raise ParseError(f"The text has {len(text)} characters; a formula has at most {MAX_TEXT}.")
    tokens, names, position = [], set(), 0
    end = len(text.rstrip())
    while position < end:
        found = _TOKEN.match(text, position)
        if found is None:
            position += len(text[position:]) - len(text[position:].lstrip())
            raise ParseError(
                f"Unexpected character {text[position]!r}: a formula is made of names in plain "
                "letters, whole numbers, and + - * / // % ^ ( ) [ ] , : = -> ...",
                text,
                position,
            )
        kind = str(found.lastgroup)
        token = Token(kind, found.group(kind), found.start(kind))
        names.add(token.text if token.kind == "name" else "")
        _check_token(token, text, len(names))
        tokens.append(token)
        position = found.end()
    return [*tokens, Token("end", "", end)]


def _check_token(token: Token, text: str, names: int) -> None:
    """Refuse what would cost without bound: endless numbers and names."""
    problem = ""
    if token.kind == "int" and (len(token.text) > 20 or int(token.text) > LARGEST_LITERAL):
        problem = f"The number is too large: write at most {LARGEST_LITERAL}, or a symbol."
    elif token.kind == "name" and len(token.text) > MAX_NAME:
        problem = f"The name is too long: write at most {MAX_NAME} letters."
    elif names > MAX_NAMES:
        problem = f"Too many names: a formula uses at most {MAX_NAMES} different ones."
    if problem:
        raise ParseError(problem, text, token.position)
