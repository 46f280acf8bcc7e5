"""The report: one HTML file that needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path

from edri_sim.demo import drawings
from edri_sim.demo.figures import Group, compare, photo_rate
from edri_sim.demo.inputs import credit
from edri_sim.demo.machine import time_slice
from edri_sim.demo.outage import OutageShow
from edri_sim.demo.photos import DESCRIBERS, Card
from edri_sim.demo.recording import Recording
from edri_sim.demo.show import Show, Side
from edri_sim.viz.theme import data_uri, image

_NETWORK = (
    "the components of the photo service and their events",
    "Follow a photo from left to right. Your program asks for it with Prepare; the manager Photos sends Resize to a "
    "process and Describe to a thread, and then tells Progress and Index with one Thumbnailed. The numbers are events "
    "of the real part; the simulated part ran this same topology.",
)
_LATENCY = (
    "latency curves, real and simulated, for each event type",
    "The further left a curve, the faster; where the two curves lie close, the simulation foretold the real service. "
    "The circle is the latency that half of the events kept (p50), the diamond the one that 95 in 100 kept (p95). "
    "Latency includes waiting in a queue.",
)
_BUSY = (
    "utilisation of the pools, real and simulated",
    "The pool whose real bar is longest holds up the rest: more of those workers, or cores for them, would bring more "
    "photos per second. Busy includes waiting for a core: where more work is ready than there are cores, all of it "
    "takes turns, in the simulation as on the real machine.",
)
_CUT = (
    "the camera, the switch and the album shortly before the link healed",
    "The camera tells the album of each photo it takes, by way of the switch hub. Here the link between camera and hub "
    "is cut, in simulated time. On a line stands how many events had passed it by then, and in the camera's box how "
    "many wait in its outbox. The album has lost nothing but time.",
)
_REAL_OUTAGE = (
    "events accepted and delivered over real time, with the backlog of the outage between the two curves",
    "Read it from left to right. As long as the two curves are one, each photo arrives as it is taken. Where the link "
    "is cut (hatched), the camera goes on: the blue curve climbs, the dashed green one stands still, and what lies "
    "between them waits in the outbox. When the link heals, all of it arrives at once. Meanwhile the outbox sent an "
    "event again a few times (triangles); when those copies came too, the album's node dropped them (crosses), so that "
    "a photo is filed once. The bands on top stay green, as no connection broke: it was silent, and for a while that "
    "is no sign of a fault.",
)
_SIMULATED_OUTAGE = (
    "events accepted and delivered over simulated time, with the backlog of the outage between the two curves",
    "The same topology and the same outage in simulated time. The backlog goes on after the link has healed, as it "
    "would between two machines: the sender's TCP looks for the way again after 0.2 s, 0.4 s, 0.8 s and so on, and "
    "nothing passes before the first attempt on a whole link. The proxy that cut the real link delivers what it held "
    "as soon as it heals, which is as good as it gets.",
)
"""For each picture what it shows, for those who cannot see it, and what to see in it."""


@dataclass(frozen=True, slots=True)
class Result:
    """All that the report is about. ``version`` is this package's, ``python`` the interpreter's."""

    show: Show
    real: Side
    simulated: Side
    recording: Recording
    outage: OutageShow
    version: str
    python: str

    @property
    def complete(self) -> bool:
        """Whether every photo was answered in both parts, and arrived in both across the outage."""
        return self.answered and self.outage.complete

    @property
    def answered(self) -> bool:
        """Whether every photo was answered in both parts."""
        wanted = self.show.load.requests
        return all(len(side.answers.cards) == wanted for side in (self.real, self.simulated))

    @property
    def errors(self) -> list[str]:
        """What went wrong in either part, a line for each photo."""
        sides = (self.real, self.simulated)
        found = {path: text for side in sides for path, text in side.answers.errors.items()}
        return [text if Path(path).name in text else f"{Path(path).name}: {text}" for path, text in found.items()]

    @property
    def groups(self) -> list[Group]:
        """The figures, real beside simulated."""
        return compare(self.real, self.simulated, self.recording)


def page(result: Result) -> str:
    """The whole page."""
    style = files("edri_sim.demo").joinpath("page.css").read_text(encoding="utf-8")
    parts = [_head(result), _errors(result), _pictures(result), _table(result.groups), _summaries(result)]
    body = "\n".join([*parts, _outage(result.outage), _sheet(result.real.answers.cards), _method(result)])
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>edri-sim demo: one photo service, two loops</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _head(result: Result) -> str:
    load = result.show.load
    real, simulated = result.real, result.simulated
    ratio = photo_rate(simulated.run) / photo_rate(real.run) if photo_rate(real.run) else 0.0
    tiles = [
        (str(len(load.photos)), f"photos, asked for {load.rounds} times each"),
        (f"{photo_rate(real.run):.3g} / s", "photos in real time"),
        (f"{photo_rate(simulated.run):.3g} / s", "photos in simulated time"),
        (f"{ratio:.2f}", "simulated rate / real rate"),
        (f"{simulated.wall:.2g} s", f"to simulate {simulated.run.duration:.3g} s"),
    ]
    boxes = "".join(f'<div class="tile"><b>{head}</b><span>{words}</span></div>' for head, words in tiles)
    return (
        "<h1>One photo service, two loops</h1>\n"
        f'<p class="faint">edri-sim {escape(result.version)}, Python {escape(result.python)}, '
        f"{result.show.machine.cores} cores, {result.show.workers} worker processes, {load.clients} clients, "
        f"seed {result.show.seed}</p>\n{_verdict(result)}\n"
        f'<div class="tiles">{boxes}</div>'
    )


def _verdict(result: Result) -> str:
    wanted = result.show.load.requests
    answered = (
        f'<p class="good">Every photo was answered in both parts: {wanted} of {wanted}.</p>'
        if result.answered
        else f'<p class="bad">Not every photo was answered: {len(result.real.answers.cards)} of {wanted} in real time, '
        f"{len(result.simulated.answers.cards)} of {wanted} in simulated time.</p>"
    )
    arrived = (
        '<p class="good">Every photo arrived across the outage too, once and in order, in both parts.</p>'
        if result.outage.complete
        else '<p class="bad">Not every photo arrived across the outage, once and in order: see below.</p>'
    )
    return answered + arrived


def _errors(result: Result) -> str:
    lines = "".join(f"<li>{escape(text)}</li>" for text in result.errors)
    return f"<h2>Answered with an error</h2>\n<ul>{lines}</ul>" if lines else ""


def _figure(heading: str, svg: bytes, alt: str, caption: str, level: str = "h2") -> str:
    picture = f'<div class="paper">{image(svg, alt)}</div>'
    return f"<{level}>{heading}</{level}>\n<figure>{picture}<figcaption>{caption}</figcaption></figure>"


def _pictures(result: Result) -> str:
    real, simulated = result.real.run, result.simulated.run
    shown = [_figure("What ran", drawings.network(real, result.show.topology), *_NETWORK)]
    if result.real.answers.cards:
        shown.append(_figure("How long it took", drawings.latency(real, simulated), *_LATENCY))
    shown.append(_figure("Who was busy", drawings.utilisation(real, simulated), *_BUSY))
    return "\n".join(shown)


def _table(groups: Sequence[Group]) -> str:
    rows = []
    for group in groups:
        rows.append(f'<tr class="group"><th colspan="4">{escape(group.heading)}</th></tr>')
        rows += ["<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line) + "</tr>" for line in group.lines]
    head = '<th></th><th class="real">real</th><th class="simulated">simulated</th><th>simulated / real</th>'
    return f'<h2>Side by side</h2>\n<div class="card"><table><tr>{head}</tr>{"".join(rows)}</table></div>'


def _summaries(result: Result) -> str:
    cells = "".join(
        f'<div class="card"><h3 class="{css}">{heading}</h3><pre>{escape(side.run.summary())}</pre></div>'
        for css, heading, side in (
            ("real", "Real time", result.real),
            ("simulated", "Simulated time", result.simulated),
        )
    )
    return f'<h2>The two summaries</h2>\n<div class="two">{cells}</div>'


def _outage(show: OutageShow) -> str:
    plan, (real, simulated) = show.plan, drawings.outage(show)
    verdicts = "".join(
        f'<p class="{"good" if kept else "bad"}">In {words}: {text}.</p>' for words, text, kept in show.verdicts
    )
    accounts = "\n".join(
        f"{words:<15} {side.account}"
        for words, side in (("real time:", show.real), ("simulated time:", show.simulated))
    )
    return "\n".join(
        [
            "<h2>An outage</h2>",
            f"<p>A camera told an album of {plan.count} photos in {plan.length:g} s. After {plan.cut:g} s its link to "
            f"the switch was cut, and {plan.duration:g} s later it healed: in real time by a proxy on this machine, "
            "between two nodes and a switch that talk over TCP; in simulated time by a fault of the simulated network."
            "</p>",
            verdicts,
            _figure("In real time", real, *_REAL_OUTAGE, level="h3"),
            _figure("In simulated time", simulated, *_SIMULATED_OUTAGE, level="h3"),
            _figure("In the middle of it", drawings.outage_network(show), *_CUT, level="h3"),
            f'<h3>The accounts</h3>\n<div class="card"><pre>{accounts}</pre></div>',
            f"<p>The camera owed the album {plan.count} photos and one event more: at the end it asked for the album's "
            "pages. That request stays behind the photos, so that the reply has them all.</p>",
        ]
    )


def _sheet(cards: Sequence[Card]) -> str:
    latest = {card.path: card for card in cards}
    photos = "".join(_photo(latest[path]) for path in sorted(latest))
    return (
        f'<h2>The thumbnails</h2>\n<div class="sheet">{photos}</div>\n'
        "<p>Made by the worker processes; the threads found the colours under each, and its fingerprint.</p>\n"
        f'<p class="faint">{credit(list(latest))}</p>'
    )


def _photo(card: Card) -> str:
    name, small, seen = Path(card.path).name, card.thumbnail, card.description
    swatches = "".join(f'<i style="background:{escape(colour)}"></i>' for colour in seen.palette)
    return (
        f'<div class="photo"><img src="{data_uri("image/jpeg", small.jpeg)}" alt="{escape(name, quote=True)}">'
        f'<div class="swatches">{swatches}</div><div class="words">{escape(name)}<br>'
        f'<span class="faint">{small.width} by {small.height}<br><code>{escape(seen.fingerprint)}</code></span>'
        "</div></div>"
    )


def _method(result: Result) -> str:
    recording, show = result.recording, result.show
    points = [
        f"Both parts run one Topology object, under the same {show.load.clients} clients: each asks for the next photo "
        "as soon as its last one is answered. The photos come in the same order.",
        "Measured in the real part: the CPU seconds of each run of a handler, by the clock of its own thread, so that "
        "waiting for a core does not count. In the simulation waiting comes from the model: "
        f"{show.machine.cores} cores, {show.workers} processes, {DESCRIBERS} threads that share a GIL.",
        f"Mean CPU time: Resize {_ms(recording.resize)}, Describe {_ms(recording.describe)} "
        f"(Python held the GIL for {recording.gil:.0%} of it), the node's own thread {1000 * recording.loop:.2f} ms "
        "for each photo. The simulation draws Resize and Describe from what was measured, by its seed.",
        "The bodies of Resize and Describe are skipped in the simulation, and their recorded replies are given; "
        "all other code of the service is the same, and runs.",
        _neighbour_words(recording),
        "Where all cores are busy, the rate follows from the CPU time of a photo and from what other programs took: a "
        "ratio near 1 then says that nothing was forgotten, while latencies and busy shares are the model's own.",
        f"Where more work is ready than there are cores, it takes turns of {1000 * time_slice(show.machine.cores):.2g} "
        "ms, which is what Linux gives programs that compete.",
        "Not modelled: that Linux lets a thread which has slept go before one that works on; what the worker processes "
        "do outside their handlers, which counts as other programs; the disk.",
        f"The simulated digest, <code>{result.simulated.run.digest}</code>, is the same for one recording and seed.",
    ]
    lines = "".join(f"<li>{point}</li>" for point in points)
    return f"<h2>What is compared, and what is not</h2>\n<ul>{lines}</ul>"


def _neighbour_words(recording: Recording) -> str:
    if recording.others is None:
        return "What other programs took of the cores is not known on this system, and so is not in the model."
    return (
        f"Everything else on the machine kept {recording.others:.2f} cores busy meanwhile. In the simulation a SimPy "
        "process takes as much of the same cores, in short turns at random moments."
    )


def _ms(seconds: Sequence[float]) -> str:
    return f"{1000 * sum(seconds) / len(seconds):.1f} ms" if seconds else "-"
