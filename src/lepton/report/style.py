"""Colours and type of pages and figures: one set of variables for light, one for dark.

The series colours differ in lightness as well as in hue, so that people who see few colours, and printers, can tell
them apart; lines beyond the sixth get dashes. Tests hold the contrast: text at least 4.5 to 1, marks at least 3 to 1.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["DARK", "FIGURE_STYLE", "LIGHT", "PAGE_STYLE", "STEPS"]

STEPS = 8
"""Shades of a heat map, from pale to strong."""

LIGHT: Mapping[str, str] = {
    "paper": "#fbfbfa",
    "card": "#ffffff",
    "ink": "#1a1d21",
    "soft": "#5a626c",
    "rule": "#e3e5e8",
    "grid": "#ebedef",
    "accent": "#0b62a8",
    "warm": "#fdf3e4",
    "warm-ink": "#7a4300",
    "s0": "#0b6db7",
    "s1": "#c95a00",
    "s2": "#00785a",
    "s3": "#a1458c",
    "s4": "#7d6500",
    "s5": "#4a4f57",
    "q0": "#eff5fb",
    "q1": "#d8e7f5",
    "q2": "#bdd7ee",
    "q3": "#9cc3e4",
    "q4": "#3576ae",
    "q5": "#2669a3",
    "q6": "#14538a",
    "q7": "#0a3d6b",
    "on-pale": "#10202e",
    "on-strong": "#ffffff",
}

DARK: Mapping[str, str] = {
    "paper": "#121519",
    "card": "#191d23",
    "ink": "#e9ecef",
    "soft": "#a3acb7",
    "rule": "#2c323a",
    "grid": "#282e35",
    "accent": "#6cb6f5",
    "warm": "#33270f",
    "warm-ink": "#f4cf94",
    "s0": "#5aaef0",
    "s1": "#f2954a",
    "s2": "#3fc79d",
    "s3": "#e08ccb",
    "s4": "#d9c24e",
    "s5": "#b8bec6",
    "q0": "#1c2733",
    "q1": "#1d3246",
    "q2": "#1f405d",
    "q3": "#234f75",
    "q4": "#5e9bd0",
    "q5": "#7fb3e0",
    "q6": "#a3cbee",
    "q7": "#cbe3f8",
    "on-pale": "#e9f1f8",
    "on-strong": "#0d1721",
}


def _variables(colours: Mapping[str, str]) -> str:
    return "".join(f"--{name}:{value};" for name, value in colours.items())


def _series() -> str:
    numbers = range(6)
    lines = "".join(f".chart .s{i}{{stroke:var(--s{i})}}.chart .f{i}{{fill:var(--s{i})}}" for i in numbers)
    shades = "".join(f".chart .q{i}{{fill:var(--q{i})}}" for i in range(STEPS))
    return lines + shades


FIGURE_STYLE = (
    f".lepton{{color-scheme:light dark;{_variables(LIGHT)}}}"
    f"@media (prefers-color-scheme:dark){{.lepton{{{_variables(DARK)}}}}}"
    # Paper is white, whatever the screen is.
    f"@media print{{.lepton{{{_variables(LIGHT)}color-scheme:light}}}}"
    ".lepton figure{margin:0}"
    ".lepton figcaption{margin:0 0 .6rem;line-height:1.35}"
    ".lepton figcaption strong{display:block;font-weight:600;color:var(--ink)}"
    ".lepton .caption{font-size:.85rem;color:var(--soft)}"
    ".chart{display:block;width:100%;height:auto;max-width:680px;font-family:system-ui,-apple-system,'Segoe UI',Roboto,"
    "'Helvetica Neue',Arial,sans-serif;font-size:12px;font-variant-numeric:tabular-nums}"
    ".chart text{fill:var(--soft)}.chart .value{fill:var(--ink)}.chart .name{fill:var(--ink)}"
    ".chart .grid{stroke:var(--grid);stroke-width:1}.chart .axis{stroke:var(--soft);stroke-width:1}"
    ".chart .bar{fill:var(--s0)}.chart .whisker{stroke:var(--ink);stroke-width:1.5;fill:none}"
    ".chart .line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}"
    ".chart .d1{stroke-dasharray:6 4}.chart .d2{stroke-dasharray:2 4}"
    ".chart .band{fill:var(--s0);fill-opacity:.16}.chart .point{fill:var(--s0);fill-opacity:.55}"
    ".chart .area{fill-opacity:.16;stroke:none}.chart .blank{fill:var(--grid)}"
    ".chart .hollow{fill:var(--s1);fill-opacity:.16;stroke:var(--s1);stroke-width:1.5;stroke-dasharray:4 2}"
    ".chart .diagonal{stroke:var(--soft);stroke-width:1;stroke-dasharray:4 4;fill:none}"
    ".chart .pale{fill:var(--on-pale)}.chart .strong{fill:var(--on-strong)}"
    ".small{display:inline-block;vertical-align:middle;width:112px;height:26px;max-width:none}" + _series()
)

PAGE_STYLE = (
    "*{box-sizing:border-box}"
    "body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,-apple-system,'Segoe UI',Roboto,"
    "'Helvetica Neue',Arial,sans-serif;font-variant-numeric:tabular-nums;-webkit-text-size-adjust:100%}"
    ".wrap{max-width:1120px;margin:0 auto;padding:0 1.5rem}"
    ".page-head{padding:3rem 0 1.6rem;border-bottom:1px solid var(--rule)}"
    "h1{font-size:2.1rem;line-height:1.15;letter-spacing:-.02em;margin:0;font-weight:680;overflow-wrap:anywhere}"
    ".subtitle{margin:.6rem 0 0;color:var(--soft);font-size:1.05rem;max-width:70ch;overflow-wrap:anywhere}"
    "nav{padding:.9rem 0;border-bottom:1px solid var(--rule)}"
    "nav ul{list-style:none;display:flex;flex-wrap:wrap;gap:.3rem 1.4rem;margin:0;padding:0;font-size:.92rem}"
    "a{color:var(--accent);text-decoration:none}a:hover{text-decoration:underline}"
    "a:focus-visible,[tabindex]:focus-visible{outline:2px solid var(--accent);outline-offset:3px;border-radius:4px}"
    ".skip{position:absolute;left:-99rem}.skip:focus{left:1rem;top:1rem;background:var(--card);padding:.4rem .8rem}"
    "section{padding:2.2rem 0 .4rem}"
    "h2{font-size:1.35rem;line-height:1.25;letter-spacing:-.01em;margin:0 0 1rem;font-weight:640;"
    "overflow-wrap:anywhere}"
    "p{margin:0 0 .9rem;max-width:75ch;overflow-wrap:anywhere}"
    ".warning{background:var(--warm);color:var(--warm-ink);padding:.7rem 1rem;border-radius:8px;max-width:none}"
    ".lead{font-size:1.12rem;line-height:1.5}"
    ".points{margin:0 0 1.2rem;padding-left:1.2rem;max-width:80ch}.points li{margin:0 0 .35rem;overflow-wrap:anywhere}"
    ".note{color:var(--soft);font-size:.92rem}"
    ".facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:1px;margin:0 0 1.4rem;"
    "background:var(--card);border:1px solid var(--rule);border-radius:12px;overflow:hidden}"
    ".facts div{box-shadow:0 0 0 1px var(--rule);padding:.9rem 1.1rem}"
    ".facts dt{color:var(--soft);font-size:.82rem}"
    ".facts dd{margin:.1rem 0 0;font-size:1.3rem;line-height:1.3;font-weight:600;letter-spacing:-.01em;"
    "overflow-wrap:anywhere}"
    ".figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,25rem),1fr));gap:1.2rem;"
    "margin:0 0 1.4rem}"
    "figure,.table{background:var(--card);border:1px solid var(--rule);border-radius:12px}"
    ".lepton figure{padding:1.1rem 1.2rem 1rem}"
    ".table{overflow-x:auto;margin:0 0 1.4rem}"
    "table{border-collapse:collapse;width:100%;font-size:.92rem}"
    "caption{text-align:left;padding:.9rem 1.1rem .5rem;font-size:.9rem;color:var(--soft);caption-side:top}"
    "th,td{padding:.45rem 1.1rem;text-align:left;vertical-align:middle;border-top:1px solid var(--rule)}"
    "thead th{font-weight:600;color:var(--soft);font-size:.82rem;white-space:nowrap;vertical-align:bottom;border-top:0}"
    "caption+thead th{padding-top:.3rem}"
    "tbody th{font-weight:600;min-width:9rem;max-width:22rem}tbody th.right{min-width:0}"
    "tbody th,td{overflow-wrap:break-word}"
    ".right{text-align:right;white-space:nowrap}.center{text-align:center}"
    "tbody tr:hover{background:var(--grid)}"
    "footer{margin:2rem 0 3rem;padding-top:1rem;border-top:1px solid var(--rule);color:var(--soft);font-size:.85rem}"
    "@media (max-width:40rem){.page-head{padding-top:1.6rem}h1{font-size:1.6rem}.wrap{padding:0 1rem}"
    "th,td{padding:.4rem .7rem}"
    # Smaller than this the letters of a drawing cannot be read: it is moved sideways instead.
    "figure{overflow-x:auto}figure .chart{min-width:25rem}}"
    "@media print{body{background:#fff;font-size:11pt}nav,.skip{display:none}.wrap{max-width:none;padding:0}"
    "figure,.table,.facts,tr{break-inside:avoid}h2{break-after:avoid}.table{overflow:visible}"
    ".figures{grid-template-columns:1fr 1fr}.bar,.point,.chart rect{print-color-adjust:exact;"
    "-webkit-print-color-adjust:exact}}"
)
