"""How a report looks: one light page, legible on paper and on a telephone."""

STYLE = """
:root { color-scheme: light; --ink: #1c2430; --soft: #5a6675; --line: #dde2e8; --tint: #f5f7f9; --link: #0b5cad; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: #fff; color: var(--ink); font: 16px/1.6 system-ui, -apple-system, "Segoe UI", Roboto,
  "Helvetica Neue", "DejaVu Sans", Arial, sans-serif; }
main { max-width: 56rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.25; margin: 0 0 .4rem; }
h2 { font-size: 1.35rem; line-height: 1.3; margin: 3rem 0 .8rem; padding-top: 1rem; border-top: 1px solid var(--line); }
p { margin: .8rem 0; overflow-wrap: break-word; }
.subtitle { color: var(--soft); margin-top: 0; }
nav { margin: 1.2rem 0 0; }
nav ol { margin: 0; padding-left: 1.4rem; }
a { color: var(--link); }
figure { margin: 1.4rem 0; }
figure img { display: block; max-width: 100%; height: auto; margin: 0 auto; }
figcaption, caption { color: var(--soft); font-size: .9rem; text-align: left; }
figcaption { margin-top: .5rem; }
caption { padding-bottom: .5rem; }
.scroll { overflow-x: auto; margin: 1.4rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .8rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
thead th { border-bottom: 2px solid var(--soft); white-space: nowrap; }
td.number, th.number { text-align: right; white-space: nowrap; }
td { min-width: 3rem; }
tr.more td { padding-top: 0; color: var(--soft); }
tr.more div { position: sticky; left: .8rem; width: fit-content; max-width: min(52rem, calc(100vw - 3.4rem)); }
tr.first td { border-bottom: 0; }
tr.even { background: var(--tint); }
pre { background: var(--tint); border: 1px solid var(--line); border-radius: 6px; padding: .8rem 1rem; white-space: pre-wrap;
  overflow-wrap: anywhere;
  font: .88rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.note { border-left: 4px solid var(--link); background: var(--tint); padding: .5rem 1rem; margin: 1.2rem 0; }
.note p { margin: .3rem 0; }
footer { margin-top: 3rem; color: var(--soft); font-size: .85rem; }
@media (max-width: 36rem) {
  main { padding: 1.2rem .9rem 3rem; }
  h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; }
  th, td { padding: .3rem .5rem; }
}
@media print { h2 { break-after: avoid; } figure, tr, pre { break-inside: avoid; } nav { display: none; } }
"""
