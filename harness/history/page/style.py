"""The page's style sheet. Light and dark by the reader's setting; every text has a contrast of 4.5 or more."""

from __future__ import annotations

import base64
import hashlib

STYLE = """
:root{color-scheme:light dark;--page:#f6f7f9;--card:#fff;--ink:#1b1f24;--soft:#57606a;--rule:#d8dee4;
--line:#6e7781;--link:#0550ae;--pass:#116329;--fail:#b3261e;--open:#7a4b00;--none:#57606a;--change:#6639ba;
--pass-on:#dafbe1;--fail-on:#ffe3e0;--open-on:#fff1c5;--none-on:#eaeef2}
@media(prefers-color-scheme:dark){:root{--page:#0d1117;--card:#161b22;--ink:#e6edf3;--soft:#9da7b1;--rule:#30363d;
--line:#8b949e;--link:#79b8ff;--pass:#56d364;--fail:#ff8a80;--open:#e3b341;--none:#9da7b1;--change:#c8a6ff;
--pass-on:#12261a;--fail-on:#3b1513;--open-on:#302408;--none-on:#21262d}}
*{box-sizing:border-box}
body{margin:0 auto;padding:16px;max-width:1240px;background:var(--page);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;overflow-wrap:anywhere}
h1{font-size:22px;margin:0}h2{font-size:18px;margin:0;line-height:1.35}h3{font-size:14px;margin:18px 0 4px}
p{margin:2px 0}a{color:var(--link)}a:focus-visible,summary:focus-visible,.scroll:focus-visible{
outline:3px solid var(--link);outline-offset:2px;border-radius:3px}
header p,.soft,small{color:var(--soft)}
section{background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:16px;margin:16px 0}
.head{display:flex;gap:12px;align-items:flex-start;flex-wrap:wrap}.head div{flex:1 1 220px}
.badge{font-weight:700;padding:2px 10px;border-radius:999px;white-space:nowrap}
.badge.pass,.strip .pass{color:var(--pass);background:var(--pass-on)}
.badge.fail,.strip .fail{color:var(--fail);background:var(--fail-on)}
.badge.open,.strip .open{color:var(--open);background:var(--open-on)}
.badge.none,.strip .none{color:var(--none);background:var(--none-on)}
ul.said{margin:10px 0 12px;padding-left:20px}
.strip{display:flex;flex-wrap:wrap;gap:3px;margin:6px 0 2px}
.strip a,.strip span{width:24px;height:24px;border-radius:4px;text-align:center;font:700 13px/24px ui-monospace,
monospace;text-decoration:none}.strip a:hover{outline:2px solid currentColor}
.strip .new{box-shadow:-3px 0 0 var(--change)}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(320px,100%),1fr));gap:14px 20px;margin-top:14px}
figure{margin:0}figcaption{display:grid;grid-template-columns:1fr auto;column-gap:8px;align-items:baseline}
figcaption small{grid-column:1/-1;line-height:1.35}.now{font-weight:600}
svg{display:block;width:100%;height:auto;margin-top:4px}
svg text{font-size:11px;fill:var(--soft)}svg .tick,svg .end{text-anchor:end}svg .number{text-anchor:middle;
fill:var(--change);font-weight:700}
svg path{fill:none}.grid{stroke:var(--rule);stroke-dasharray:2 3}.ground{stroke:var(--line)}
.line{stroke:var(--line);stroke-width:1.2}.change{stroke:var(--change);stroke-dasharray:4 3}
svg .pass *{fill:var(--pass);stroke:var(--pass)}svg .fail *{fill:var(--fail);stroke:var(--fail)}
svg .open *{fill:var(--open);stroke:var(--open)}svg .none *{fill:var(--none);stroke:var(--none)}
svg .least *{fill:var(--card);stroke-width:1.5}svg a:hover *{stroke-width:5}
ol.changes{list-style:none;margin:0;padding:0}ol.changes li{margin:6px 0}ol.changes b.n{color:var(--change);
margin-right:6px}ol.changes code{display:block;margin:1px 0 1px 22px}
code{font:13px/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
ins{text-decoration:none;color:var(--pass)}del{color:var(--fail)}
.scroll{overflow-x:auto;margin-top:6px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;overflow-wrap:normal}
th,td{padding:4px 10px;border-bottom:1px solid var(--rule);text-align:right;white-space:nowrap}
th{font-weight:600;color:var(--soft)}th:first-child,td:first-child,.l{text-align:left}
td.pass{color:var(--pass);font-weight:600}td.fail{color:var(--fail);font-weight:600}
td.open{color:var(--open);font-weight:600}td.none{color:var(--none)}
tr.why td{border-top:0;color:var(--soft);white-space:normal}
summary{cursor:pointer;color:var(--link);margin-top:10px}
.legend{font-size:13px;color:var(--soft);margin-top:8px}
.legend svg{display:inline-block;width:11px;height:11px;margin:0 3px -1px 8px}
@media(max-width:480px){body{padding:8px}section{padding:12px;border-radius:8px}}
@media print{body{background:#fff}section{break-inside:avoid}}
"""


def policy() -> str:
    """Return the page's Content-Security-Policy: nothing is loaded, nothing runs, and only this style applies."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
