"""Replace one value inside a YAML text and leave every other character where it is.

The parser says where a value stands; the text around it keeps its comments, quotes and indentation.
"""

import io
from typing import Any

_NEVER_WRAP = 1 << 16


def replaced(text: str, key: str, value: Any) -> str:
    """Return the text with one value replaced, or added when the key is not there.

    Args:
        text: YAML, blocks of keys two levels deep.
        key: "block.name".
        value: number, text, None, list of texts, or mapping of texts.
    """
    block, _, name = key.partition(".")
    line_end = "\r\n" if "\r\n" in text else "\n"
    lines: list[str] = _filled(value, name)
    block_key, block_node = _pair(_composed(text), block)
    if block_node is None:
        return line_end.join([text.rstrip("\r\n"), *([""] if text.strip() else []), f"{block}:", *lines, ""]).lstrip(
            "\r\n"
        )
    if block_node.id != "mapping":  # "block:" with nothing below it
        at: int = _end_of_line(text, block_key.end_mark.index)
        return text[:at] + line_end + line_end.join(lines) + text[at:]
    key_node, node = _pair(block_node, name)
    if node is None:
        at, column = int(block_node.start_mark.index), int(block_node.start_mark.column)
        return (
            text[:at]
            + (line_end + " " * column).join([line[2:] for line in lines])
            + line_end
            + " " * column
            + text[at:]
        )
    if isinstance(value, dict) or (node.id == "mapping" and not node.flow_style):
        return _mapping_replaced(text, node, block_node.start_mark.column, value, line_end)
    if isinstance(value, list) and node.id == "sequence" and not node.flow_style:
        return _sequence_replaced(text, node, value, line_end)
    start, end = int(node.start_mark.index), int(node.end_mark.index)
    if start == end:  # "key:" with nothing behind it: the parser puts the value where the next thing stands
        start = end = text.index(":", key_node.end_mark.index) + 1
    return _inline_replaced(text, start, end, _inline(value))


def _filled(value: Any, name: str) -> list[str]:
    if isinstance(value, dict) and value:
        return [f"  {name}:", *(f"    {_inline(key)}: {_inline(entry)}" for key, entry in value.items())]
    return [f"  {name}: {_inline(value)}"]


def _composed(text: str) -> Any:
    from ruamel.yaml import YAML

    return YAML(pure=True).compose(text)


def _pair(node: Any, name: str) -> tuple[Any, Any]:
    pairs = node.value if node is not None and node.id == "mapping" else []
    return next(((key, value) for key, value in pairs if key.value == name), (None, None))


def _inline(value: Any) -> str:
    """Write a value on one line, quoted where YAML would read it as something else."""
    from ruamel.yaml import YAML

    if value is None:
        return "null"
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = True
    yaml.width = _NEVER_WRAP
    stream = io.StringIO()
    yaml.dump([value], stream)
    return stream.getvalue().strip()[1:-1]


def _inline_replaced(text: str, start: int, end: int, new: str) -> str:
    """Replace text[start:end] by `new`, and keep a comment on the same line in its column if there is room."""
    new = f" {new}" if new and text[start - 1 : start] == ":" else new
    rest = text[end:]
    gap = len(rest) - len(rest.lstrip(" "))
    if rest[gap : gap + 1] == "#":
        rest = " " * max(1, gap + (end - start) - len(new)) + rest[gap:]
    return text[:start] + new + rest


def _sequence_replaced(text: str, node: Any, value: list[str], line_end: str) -> str:
    """Replace a list of `- item` lines; an item that stays keeps its line and the comments above it."""
    begin: int = node.start_mark.index
    indent: str = " " * node.start_mark.column
    lines, at = {}, begin
    for item in node.value:
        after = _end_of_line(text, item.end_mark.index)
        lines[str(item.value)] = text[at:after].lstrip(" ")
        at = after + len(line_end)
    end = at - len(line_end)
    new = [lines.get(item) or f"- {_inline(item)}" for item in value] or ["[]"]
    return text[:begin] + (line_end + indent).join(new) + text[end:]


def _mapping_replaced(text: str, node: Any, column: int, value: Any, line_end: str) -> str:
    """Replace a nested mapping; a filled one stands on lines of its own below the key and the key's comment."""
    filled = [f"{' ' * (column + 2)}{_inline(key)}: {_inline(entry)}" for key, entry in value.items()] if value else []
    inline = "" if filled else _inline(value)
    if node.id == "mapping" and not node.flow_style and node.value:
        begin = text.rindex("\n", 0, node.start_mark.index) + 1
        end = _end_of_line(text, node.value[-1][1].end_mark.index)
        if filled:
            return text[:begin] + line_end.join(filled) + text[end:]
        colon = text.rindex(":", 0, _value_free(text, begin)) + 1
        text = text[: begin - len(line_end)] + text[end:]
        return _inline_replaced(text, colon, colon, inline)
    start = node.start_mark.index
    text = _inline_replaced(text, start, node.end_mark.index, inline)
    at = _end_of_line(text, start)
    return text[:at].rstrip(" ") + "".join(line_end + line for line in filled) + text[at:]


def _value_free(text: str, line_begin: int) -> int:
    """Return where the comment of the line before `line_begin` starts, or that line's end."""
    before = text[:line_begin].rstrip("\r\n")
    line_start = before.rfind("\n") + 1
    hash_at = before.find(" #", line_start)
    return hash_at if hash_at >= 0 else len(before)


def _end_of_line(text: str, index: int) -> int:
    at = text.find("\n", index)
    at = len(text) if at < 0 else at
    return at - 1 if text[at - 1 : at] == "\r" and at < len(text) else at
