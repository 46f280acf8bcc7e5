"""The player in HTML that holds all it needs: script, style and log."""

from __future__ import annotations

import html
from pathlib import Path

from edri_sim.viz.theme import data_uri

_HERE = Path(__file__).parent

_WHOLE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>body {{ margin: 0 auto; padding: 12px; max-width: 1280px; }}</style>
</head>
<body>
<h1 style="font: 600 16px system-ui, sans-serif; margin: 0 0 8px">{title}</h1>
{player}
</body>
</html>
"""

# The script finds its own element by what comes before it, so that a page may hold many players and needs no names.
_PLAYER = """<div class="edri-replay-still">{picture}</div>
<link rel="stylesheet" href="{style}">
<script>
(async (script) => {{
  const still = script.previousElementSibling.previousElementSibling;
  const log = Uint8Array.from(atob("{log}".split(",")[1]), (letter) => letter.charCodeAt(0));
  const player = (await import("{module}")).default;
  const model = {{ get: () => new DataView(log.buffer) }};
  still.replaceChildren();
  await player.render({{ model, el: still }});
}})(document.currentScript);
</script>"""


def whole(log: bytes, title: str) -> str:
    """A whole page that plays a packed log."""
    return _WHOLE.format(title=html.escape(title), player=part(log))


def part(log: bytes, picture: str = "") -> str:
    """A part of a page: the player of a packed log, in the place of ``picture``, which stays if scripts are not run."""
    return _PLAYER.format(
        picture=picture,
        style=data_uri("text/css", (_HERE / "replay.css").read_bytes()),
        log=data_uri("application/gzip", log),
        module=data_uri("text/javascript", (_HERE / "replay.js").read_bytes()),
    )
