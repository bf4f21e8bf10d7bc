"""The flat properties of an XMP packet, where drones write position and attitude that EXIF has no tag for.

Standard: XMP Part 1 (ISO 16684-1). Entities and external references are refused (defusedxml).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

MAX_PACKET_BYTES = 1 << 20

_PREFIXES = {
    "http://www.dji.com/drone-dji/1.0/": "drone-dji",
    "http://ns.flir.com/xmp/1.0/": "FLIR",
    "http://pix4d.com/camera/1.0": "Camera",
    "http://pix4d.com/camera/1.0/": "Camera",
    "http://ns.adobe.com/xap/1.0/": "xmp",
    "http://ns.adobe.com/tiff/1.0/": "tiff",
    "http://ns.adobe.com/exif/1.0/": "exif",
}
_ATTRIBUTE = re.compile(r"""([A-Za-z][\w-]{0,40}:[A-Za-z]\w{0,80})\s*=\s*["']([^"'<>]{0,200})["']""")
_ELEMENT = re.compile(r"<([A-Za-z][\w-]{0,40}:[A-Za-z]\w{0,80})>([^<>]{0,200})</\1>")


def parse_xmp(packet: bytes) -> Mapping[str, str]:
    """Reads the attributes and simple elements of an XMP packet.

    Args:
        packet: the packet, padding allowed on either side.

    Returns:
        `prefix:Name` to text, with the usual prefix of a known namespace whatever the file calls it, and `{uri}Name`
        for any other. A packet that is not well-formed gives what can be picked out of it.
    """
    packet = packet[:MAX_PACKET_BYTES]
    start, end = packet.find(b"<x:xmpmeta"), packet.rfind(b"</x:xmpmeta>")
    if start >= 0 and end > start:
        packet = packet[start : end + len(b"</x:xmpmeta>")]
    try:
        root = fromstring(packet.strip(b"\0 \r\n\t"))
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        text = packet.decode("utf-8", "replace")
        found = [*_ATTRIBUTE.findall(text), *_ELEMENT.findall(text)]
        return {name: value.strip() for name, value in found if not name.startswith(("xmlns:", "rdf:", "x:"))}
    properties: dict[str, str] = {}
    for element in root.iter():
        for name, value in element.attrib.items():
            properties.setdefault(_name(name), str(value).strip())
        if not len(element) and element.text and element.text.strip() and isinstance(element.tag, str):
            properties.setdefault(_name(element.tag), element.text.strip())
    return properties


def _name(qualified: str) -> str:
    uri, brace, local = qualified.removeprefix("{").partition("}")
    return f"{_PREFIXES[uri]}:{local}" if brace and uri in _PREFIXES else qualified


def xmp_number(properties: Mapping[str, str], *names: str) -> float | None:
    """The first of the named properties that is a finite number (`+12.30`, `12.3 m`); None where none is."""
    for name in names:
        match = re.match(r"\s*([+-]?\d{1,12}(?:\.\d{0,20})?(?:[eE][+-]?\d{1,2})?)", properties.get(name, ""))
        if match:
            return float(match.group(1))
    return None
