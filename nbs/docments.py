"""Puts docments, the comments behind arguments and results, into `__doc__` when nbdev exports.

`help(bigdata_ai.fit)`, `fit?` and editors read docstrings and never comments. nbdev calls `Docments` on
every notebook before it writes the module (`export_procs` in pyproject.toml), so the notebook keeps one
text, and the module says it twice: the comments stay, the docstring grows numpydoc's sections. Nothing
but docstrings changes. Private functions keep what they say.
"""

import ast
import inspect
import io
import textwrap
import tokenize
from dataclasses import dataclass

WIDTH = 96  # columns of a line of the docstring, its indent included
MADE = ("__init__", "__call__")  # special methods that are documented as public ones are
DIRECTIVES = ("noqa", "type:", "pyright:", "ruff:", "fmt:")  # comments that tools read


class Docments:
    "A processor of nbdev: exported cells get docstrings with sections."

    def __init__(
        self,
        nb,  # the notebook, as nbdev reads it
    ):
        "Read the dataclasses of the notebook, whose fields their heirs take arguments for."
        self.fields = {}
        for cell in filter(_is_exported, nb.cells):
            source = Source(cell.source)
            for node in source.tree.body:
                if isinstance(node, ast.ClassDef):
                    self.fields[node.name] = source.fields(node, self.fields)

    def __call__(
        self,
        cell,  # changed in place, since the exporter holds it already
    ):
        "Document the public functions and classes of a cell."
        if _is_exported(cell):
            cell.source = document(cell.source, self.fields)


def _is_exported(cell):
    exports = {"export", "exporti", "exports"} & set(getattr(cell, "directives_", {}))
    return cell.cell_type == "code" and bool(exports)


def document(
    source: str,  # a cell or a module
    inherited: dict[str, list] | None = None,  # class -> entries of its fields, for heirs
) -> str:  # the same code with longer docstrings
    "Put the docments of all public functions, methods and dataclasses into their docstrings."
    text = Source(source)
    edits = [edit for node in text.tree.body for edit in text.of_top(node, inherited or {})]
    longer = text.with_edits(edits)
    if _bare(longer) != _bare(source):
        raise ValueError(f"Docments must change nothing but docstrings. Received: {source}")
    return longer


def _bare(source):
    "The syntax tree of a source without docstrings."
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) or _is_function(node):
            if ast.get_docstring(node) is not None:
                node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(tree)


@dataclass
class Entry:
    "An argument, a field or a result as a docstring has it."

    header: str  # name and type, or the type alone; "" where nothing is known
    comment: str  # "" where it has none

    def lines(self, indent):
        shift = "    " if self.header else ""
        text = textwrap.TextWrapper(WIDTH - indent, shift, shift)
        text.break_long_words = text.break_on_hyphens = False
        return [line for line in (self.header, *text.wrap(self.comment)) if line]


class Source:
    "The text of a cell, its tree and its comments."

    def __init__(self, text):
        self.text, self.lines, self.tree = text, text.split("\n"), ast.parse(text)
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
        self.operators = [token for token in tokens if token.type == tokenize.OP]
        self.comments, self.alone = {}, set()
        for token in tokens:
            words = token.string.lstrip("#").strip()
            if token.type == tokenize.COMMENT and not words.startswith(DIRECTIVES):
                self.comments[token.start[0]] = words
                if token.line[: token.start[1]].strip() == "":
                    self.alone.add(token.start[0])

    def of_top(self, node, inherited):
        "The edits of a function or a class that stands at the top."
        private = getattr(node, "name", "_").startswith("_")
        if _is_function(node) and not private:
            yield from self.of_function(node)
        if isinstance(node, ast.ClassDef):
            entries = [] if private else self.fields(node, inherited)
            if entries:
                words = ast.get_docstring(node)
                yield self.edit(node, words, [("Parameters", entries)])
            for method in filter(_is_function, node.body):
                if method.name in MADE or not method.name.startswith("_"):
                    yield from self.of_function(method, in_class=True, private=private)

    def of_function(self, node, in_class=False, private=False):
        "The edit of a function: none for one without words or one whose help is shown elsewhere."
        decorators = [ast.unparse(decorator).split("(")[0] for decorator in node.decorator_list]
        last = {name.split(".")[-1] for name in decorators}
        if last & {"overload", "command", "callback", "setter", "deleter"}:
            return
        arguments = _arguments(node)
        if in_class and "staticmethod" not in last:
            arguments = arguments[1:]
        colon = self.colon(node)
        # above a signature of one line stands what speaks for all of it
        floor = 0 if colon[0] == node.lineno else node.lineno
        result = self.comment_at(colon[0], colon[0], floor)
        of_each = [
            self.comment_at(_end(node, argument), argument.lineno, node.lineno)
            for argument in arguments
        ]
        shared = bool(result) and (node.lineno == colon[0] or not any(of_each))
        words = ast.get_docstring(node)
        if not (words or result or any(of_each)) or private and not (result or any(of_each)):
            return
        returns = ast.unparse(node.returns) if node.returns else ""
        gives = returns not in ("None", "NoReturn", "") or bool(result)
        if not words:  # the comment is all that is said
            words = _sentence(result or of_each[-1])
            of_each, result = ([""] * len(arguments) if shared else of_each), ""
        if shared and arguments and result:  # one comment speaks for all arguments and the result
            of_each = [result] * len(arguments)
            gives, result = gives and bool(returns) and returns != "None", ""
        sections = [("Parameters", self.joined(node, arguments, of_each, shared))]
        if gives and returns not in ("None", "NoReturn"):
            sections.append(("Returns", [Entry(_plain(node.returns), result)]))
        if "property" in "".join(last) and not result:
            sections = []
        yield self.edit(node, words, sections)

    def joined(self, node, arguments, comments, shared):
        "An entry an argument; neighbours on one line, or all of them, share a comment."
        groups, defaults = [], _defaults(node)
        for argument, comment in zip(arguments, comments, strict=True):
            together = groups and comment and (shared or groups[-1][0].lineno == argument.lineno)
            if together and groups[-1][1] == comment:
                groups[-1][2].append(argument)
            else:
                groups.append((argument, comment, [argument]))
        return [
            Entry(
                _header(node, group[0], defaults)
                if len(group) == 1
                else ", ".join(_star(node, argument) for argument in group),
                comment,
            )
            for _, comment, group in groups
        ]

    def fields(self, node, inherited):
        "Entries of the arguments that a dataclass or a named tuple is made with."
        decorators = " ".join(ast.unparse(decorator) for decorator in node.decorator_list)
        bases = [ast.unparse(base) for base in node.bases]
        if any(getattr(child, "name", "") == "__init__" for child in node.body):
            return []
        entries = {}
        for base in bases:
            entries |= {entry.header.split(" ")[0]: entry for entry in inherited.get(base, [])}
        if "dataclass" not in decorators and "NamedTuple" not in bases:
            return list(entries.values())
        for field in node.body:
            if not isinstance(field, ast.AnnAssign) or "ClassVar" in ast.unparse(field.annotation):
                continue
            default = field.value
            if isinstance(default, ast.Call) and ast.unparse(default.func).endswith("field"):
                words = {keyword.arg: keyword.value for keyword in default.keywords}
                if ast.unparse(words.get("init", ast.Constant(True))) == "False":
                    continue
                default = words.get("default")
            name = ast.unparse(field.target)
            header = f"{name} : {_plain(field.annotation)}" + _default(default)
            entries[name] = Entry(header, self.comment_at(field.end_lineno, field.lineno))
        return list(entries.values())

    def comment_at(self, line, first, floor=0):
        "The comment on a line, after those on lines of their own above `first` and below `floor`."
        words, above = [], first - 1
        while above in self.alone and above > floor:
            words.insert(0, self.comments[above])
            above -= 1
        behind = [self.comments[line]] if line in self.comments else []
        return "; ".join(filter(None, [" ".join(words), *behind]))

    def colon(self, node):
        "Line and column of the colon that ends `def …:` or `class …:`."
        depth, first = 0, (node.lineno, 0)
        for token in self.operators:
            if token.start < first:
                continue
            depth += (token.string in "([{") - (token.string in ")]}")
            if token.string == ":" and depth == 0:
                return token.start

    def edit(self, node, words, sections):
        "First and last line (from 1) of what is replaced, and the lines instead."
        indent = node.col_offset + 4
        lines = _docstring(words, [(name, rows) for name, rows in sections if rows], indent)
        line, column = self.colon(node)
        first, rest = node.body[0], node.body
        if ast.get_docstring(node) is not None:
            rest = node.body[1:]
        if first.lineno == line:  # the body stands behind the colon: it gets lines of its own
            head = self.lines[line - 1][: column + 1]
            head += f"  # {self.comments[line]}" if line in self.comments else ""
            body = [" " * indent + ast.unparse(statement) for statement in rest]
            return line, node.end_lineno, [head, *lines, *body]
        if rest is node.body:
            return line + 1, line, lines
        behind = self.lines[first.end_lineno - 1].encode()[first.end_col_offset :].decode()
        return first.lineno, first.end_lineno, [*lines[:-1], lines[-1] + behind]

    def with_edits(self, edits):
        lines = list(self.lines)
        for start, end, new in sorted(edits, key=lambda edit: edit[0], reverse=True):
            lines[start - 1 : end] = new
        return "\n".join(lines)


def _is_function(node):
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def _arguments(node):
    arguments = [*node.args.posonlyargs, *node.args.args, node.args.vararg, *node.args.kwonlyargs]
    return [argument for argument in [*arguments, node.args.kwarg] if argument]


def _defaults(node):
    "Argument -> the tree of its default, or None."
    places = [*node.args.posonlyargs, *node.args.args]
    values = [None] * (len(places) - len(node.args.defaults)) + node.args.defaults
    pairs = [*zip(places, values, strict=True)]
    pairs += zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    return {argument.arg: value for argument, value in pairs}


def _end(node, argument):
    "The last line of an argument with its default."
    value = _defaults(node).get(argument.arg)
    return argument.end_lineno if value is None else value.end_lineno


def _star(node, argument):
    stars = "*" * ((argument is node.args.vararg) + 2 * (argument is node.args.kwarg))
    return stars + argument.arg


def _header(node, argument, defaults):
    kind = f" : {_plain(argument.annotation)}" if argument.annotation else ""
    default = _default(defaults.get(argument.arg))
    return _star(node, argument) + (kind + default if kind else default.replace(", ", " : ", 1))


def _default(value):
    return "" if value is None else f", default {ast.unparse(value)}"


def _plain(annotation):
    "An annotation as text; a name in quotes loses them."
    if annotation is None:
        return ""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return annotation.value
    return ast.unparse(annotation)


def _sentence(comment):
    return f"{comment[:1].upper()}{comment[1:]}{'' if comment[-1:] in '.:!?' else '.'}"


def _docstring(words, sections, indent):
    "The lines of a docstring, quotes and indent included."
    lines = inspect.cleandoc(words or "").split("\n")
    for name, entries in sections:
        lines += ["", name, "-" * len(name)]
        lines += [line for entry in entries for line in entry.lines(indent)]
    if not sections and len(lines) == 1 and "\\" not in words and not words.endswith('"'):
        return [f'{" " * indent}"{words}"' if '"' not in words else f'{" " * indent}"""{words}"""']
    text = "\n".join(lines)
    quotes = "'''" if '"""' in text else '"""'
    lines[0] = ("r" if "\\" in text else "") + quotes + lines[0]
    return [" " * indent + line if line else "" for line in [*lines, quotes]]
