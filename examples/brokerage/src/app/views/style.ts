/** The one style sheet. Brokers differ in `--brand`, which each page sets; light and dark follow the visitor's system. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --brand: #334155; --bg: #f6f6f3; --card: #fff; --text: #1c2026; --soft: #626a75; --line: #e3e3dd; --hover: #f2f2ee;
  --good: #16703f; --good-bg: #e0f3e8; --warn: #8a5a00; --warn-bg: #fdf0d2; --bad: #a11d2c; --bad-bg: #fce4e6;
  --accent: color-mix(in srgb, var(--brand) 92%, black);
}
@media (prefers-color-scheme: dark) {
  :root {
    --bg: #121417; --card: #1b1f24; --text: #e8e9ea; --soft: #9aa3ad; --line: #2c3238; --hover: #23292f;
    --good: #6fd69d; --good-bg: #12351f; --warn: #f0c169; --warn-bg: #3a2c0c; --bad: #ff9aa3; --bad-bg: #43161c;
    --accent: color-mix(in srgb, var(--brand) 55%, white);
  }
}
* { box-sizing: border-box }
body { margin: 0; background: var(--bg); color: var(--text); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif }
a { color: var(--accent); text-decoration: none } a:hover { text-decoration: underline }
h1 { font-size: 1.45rem; margin: 0; line-height: 1.25 } h2 { font-size: 1.02rem; margin: 0 0 .75rem }
.top { background: var(--brand); color: #fff } .top a { color: #fff; opacity: .85 }
.top a.here { opacity: 1; font-weight: 600; box-shadow: 0 2px 0 #fff } .top a.name { font-weight: 700; opacity: 1 }
.top .in { display: flex; align-items: center; gap: 1.1rem; flex-wrap: wrap; padding-block: .7rem }
.top form { margin-left: auto } .top button { background: #ffffff26; color: #fff; border: 0; border-radius: 2rem }
.in { max-width: 1120px; margin-inline: auto; padding-inline: 1.2rem } main.in { padding-block: 1.4rem 2.5rem }
.narrow { max-width: 30rem; margin-inline: auto } .soft { color: var(--soft) } .small { font-size: .86rem }
.head { display: flex; gap: 1rem; align-items: end; justify-content: space-between; flex-wrap: wrap; margin-bottom: 1.1rem }
.grid { display: grid; gap: 1rem } .kpis { grid-template-columns: repeat(auto-fit, minmax(170px, 1fr)); margin-bottom: 1rem }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .7rem; padding: 1rem 1.1rem; margin-bottom: 1rem; min-width: 0 }
.kpi { margin: 0 } .kpi b { display: block; font-size: 1.5rem; font-variant-numeric: tabular-nums } .kpi span { color: var(--soft); font-size: .86rem }
.wide { overflow-x: auto } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th { text-align: left; color: var(--soft); font-weight: 500; font-size: .8rem; padding: .4rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap }
td { padding: .5rem .6rem; border-bottom: 1px solid var(--line) } tbody tr:hover { background: var(--hover) }
tfoot td { font-weight: 700; border-top: 2px solid var(--line); border-bottom: 0 } .right { text-align: right } .nowrap { white-space: nowrap }
.pill { display: inline-block; padding: .06rem .55rem; border-radius: 1rem; font-size: .8rem; white-space: nowrap; background: var(--hover); color: var(--soft) }
.in_force, .bound, .received { background: var(--good-bg); color: var(--good) } .open, .due { background: var(--warn-bg); color: var(--warn) }
.cancelled, .declined { background: var(--bad-bg); color: var(--bad) } .fault { color: var(--bad) }
form.inline { display: flex; gap: .5rem; flex-wrap: wrap; align-items: center } label { display: grid; gap: .2rem; font-size: .86rem; color: var(--soft) }
input, select, button { font: inherit; color: var(--text); background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .42rem .7rem }
button { cursor: pointer } button.main { background: var(--brand); border-color: var(--brand); color: #fff; font-weight: 600 }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px }
.pages { display: flex; justify-content: space-between; padding-top: .8rem }
code, pre { font: .88em ui-monospace, monospace; background: var(--hover); border-radius: .3rem; padding: .05rem .3rem; overflow-wrap: anywhere }
pre { padding: .7rem .8rem; white-space: pre-wrap } dl { display: grid; grid-template-columns: max-content 1fr; gap: .35rem 1.2rem; margin: 0 } dt { color: var(--soft) } dd { margin: 0 }
footer { color: var(--soft); font-size: .82rem; border-top: 1px solid var(--line) } footer .in { padding-block: .8rem }
`
