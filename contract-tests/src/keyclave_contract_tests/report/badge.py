"""The badge: an SVG picture of one line of text that needs no font and no other file."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from keyclave_contract_tests.report.summary import verdict
from keyclave_contract_tests.report.text import line
from keyclave_contract_tests.results import Report

__all__ = ["badge"]

_HEIGHT, _PADDING, _CHARACTER = 20, 8, 6.6
_LONGEST = 120
_FONT = {"font-family": "Verdana, 'DejaVu Sans', sans-serif", "font-size": "11", "fill": "#ffffff"}
_LABEL, _EARNED, _NOTHING = "#3d444d", "#17653a", "#5c4a12"


def badge(report: Report) -> str:
    """Return the badge as SVG. Its text and its title say the same; white on each colour has a contrast above 6:1."""
    said = line(verdict(report), _LONGEST)
    label, _, message = said.partition(": ")
    plugin = line(f"{report.plugin.name} {report.plugin.version or ''}".strip(), _LONGEST)
    colour = _EARNED if any(result.earned for result in report.levels) else _NOTHING
    widths = [round(len(text) * _CHARACTER) + 2 * _PADDING for text in (label, message)]
    root = _root(sum(widths), f"{plugin}: {said}, self-asserted")
    for text, left, width, fill in ((label, 0, widths[0], _LABEL), (message, widths[0], widths[1], colour)):
        _part(root, text, left, width, fill)
    return ET.tostring(root, encoding="unicode") + "\n"


def _root(width: int, title: str) -> ET.Element:
    root = ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "width": str(width),
            "height": str(_HEIGHT),
            "viewBox": f"0 0 {width} {_HEIGHT}",
            "role": "img",
            "aria-label": title,
        },
    )
    ET.SubElement(root, "title").text = title
    return root


def _part(root: ET.Element, text: str, left: int, width: int, fill: str) -> None:
    ET.SubElement(root, "rect", {"x": str(left), "width": str(width), "height": str(_HEIGHT), "fill": fill})
    attributes = {"x": str(left + _PADDING), "y": "14", "textLength": str(width - 2 * _PADDING), **_FONT}
    ET.SubElement(root, "text", attributes).text = text
