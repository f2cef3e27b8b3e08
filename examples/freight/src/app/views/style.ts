/** The one style sheet. Tenants differ in `--brand`, which each page sets; light and dark follow the visitor's system. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --brand: #334155; --bg: #f5f6f8; --card: #fff; --text: #17202b; --soft: #5d6b7a; --line: #e2e6eb; --hover: #f0f3f6;
  --good: #16703f; --good-bg: #e0f3e8; --warn: #8a5a00; --warn-bg: #fdf0d2; --bad: #a11d2c; --bad-bg: #fce4e6;
  --info: #1f5fa8; --info-bg: #e1edfb; --mute-bg: #eceff3; --accent: color-mix(in srgb, var(--brand) 92%, black);
}
@media (prefers-color-scheme: dark) {
  :root {
    --bg: #10151c; --card: #182029; --text: #e6ebf1; --soft: #98a6b5; --line: #2a3541; --hover: #1f2933;
    --good: #6fd69d; --good-bg: #12351f; --warn: #f0c169; --warn-bg: #3a2c0c; --bad: #ff9aa3; --bad-bg: #43161c;
    --info: #8cbcf5; --info-bg: #142f4d; --mute-bg: #25303b; --accent: color-mix(in srgb, var(--brand) 55%, white);
  }
}
* { box-sizing: border-box }
body { margin: 0; background: var(--bg); color: var(--text); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif }
a { color: var(--accent); text-decoration: none } a:hover { text-decoration: underline }
h1 { font-size: 1.45rem; margin: 0; line-height: 1.25 } h2 { font-size: 1.02rem; margin: 0 0 .75rem }
.top { background: var(--brand); color: #fff }
.top .in { display: flex; align-items: center; gap: 1.1rem; flex-wrap: wrap; padding-block: .7rem }
.top a { color: #fff; opacity: .85 } .top a.here { opacity: 1; font-weight: 600; box-shadow: 0 2px 0 #fff }
.top .name { font-weight: 700; font-size: 1.08rem; opacity: 1; display: flex; gap: .55rem; align-items: center }
.mark { width: 1.7rem; height: 1.7rem; border-radius: .45rem; background: #fff; color: var(--brand); display: grid; place-items: center; font-weight: 800 }
.in { max-width: 1180px; margin-inline: auto; padding-inline: 1.2rem } main.in { padding-block: 1.4rem 2.5rem }
.who { margin-left: auto; position: relative }
.who summary { cursor: pointer; list-style: none; background: #ffffff26; border-radius: 2rem; padding: .28rem .8rem }
.who summary::-webkit-details-marker { display: none }
.who .menu { position: absolute; right: 0; top: 2.5rem; z-index: 5; background: var(--card); color: var(--text); border: 1px solid var(--line);
  border-radius: .7rem; padding: .4rem; width: 17.5rem; box-shadow: 0 12px 30px #0003 }
.who button { display: block; width: 100%; text-align: left; background: none; color: var(--text); border: 0; padding: .45rem .6rem; border-radius: .45rem }
.who button:hover { background: var(--hover) } .who button small { display: block; color: var(--soft) }
.scope { background: color-mix(in srgb, var(--brand) 12%, var(--bg)); border-bottom: 1px solid var(--line); font-size: .87rem }
.scope .in { padding-block: .38rem; display: flex; gap: .5rem; flex-wrap: wrap }
.head { display: flex; gap: 1rem; align-items: end; justify-content: space-between; flex-wrap: wrap; margin-bottom: 1.1rem }
.soft { color: var(--soft) } .small { font-size: .86rem } .right { text-align: right } .nowrap { white-space: nowrap }
.grid { display: grid; gap: 1rem } .kpis { grid-template-columns: repeat(auto-fit, minmax(170px, 1fr)) }
.two { grid-template-columns: repeat(auto-fit, minmax(min(430px, 100%), 1fr)); margin-top: 1rem; align-items: start }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .8rem; padding: 1rem 1.1rem; min-width: 0 }
.kpi b { display: block; font-size: 1.62rem; line-height: 1.25; font-variant-numeric: tabular-nums; letter-spacing: -.01em }
.kpi span { color: var(--soft); font-size: .86rem }
.wide { overflow-x: auto } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th { text-align: left; color: var(--soft); font-weight: 500; font-size: .8rem; padding: .4rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap }
td { padding: .5rem .6rem; border-bottom: 1px solid var(--line) } tr:last-child td { border-bottom: 0 } tbody tr:hover { background: var(--hover) }
th.right, td.right { text-align: right }
.pill { display: inline-block; padding: .06rem .55rem; border-radius: 1rem; font-size: .8rem; white-space: nowrap; background: var(--mute-bg); color: var(--soft) }
.delivered, .paid, .own, .refused { background: var(--good-bg); color: var(--good) } .customs, .open { background: var(--warn-bg); color: var(--warn) }
.in_transit { background: var(--info-bg); color: var(--info) } .overdue, .leaked { background: var(--bad-bg); color: var(--bad) }
.bar { height: .5rem; border-radius: .3rem; background: var(--mute-bg); overflow: hidden; min-width: 4rem } .bar i { display: block; height: 100%; background: var(--accent) }
form.inline { display: flex; gap: .5rem; flex-wrap: wrap; align-items: center }
input, select, textarea, button { font: inherit; color: var(--text); background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .42rem .7rem }
input.grow { flex: 1; min-width: 12rem } button { cursor: pointer } button.main { background: var(--brand); border-color: var(--brand); color: #fff; font-weight: 600 }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px }
.pages { display: flex; gap: .8rem; justify-content: space-between; align-items: center; padding-top: .8rem }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .35rem 1.2rem; margin: 0 } dt { color: var(--soft) } dd { margin: 0 }
ol.line { list-style: none; margin: 0; padding: 0 0 0 1.1rem; border-left: 2px solid var(--line) }
ol.line li { position: relative; padding: 0 0 .9rem .3rem } ol.line li:last-child { padding-bottom: 0 }
ol.line li::before { content: ""; position: absolute; left: -1.5rem; top: .42rem; width: .65rem; height: .65rem; border-radius: 50%; background: var(--accent); box-shadow: 0 0 0 3px var(--card) }
pre { background: var(--mute-bg); border-radius: .5rem; padding: .6rem .75rem; margin: .5rem 0; overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere; font: .82rem/1.5 ui-monospace, monospace }
code { font: .88em ui-monospace, monospace; background: var(--mute-bg); padding: .05rem .3rem; border-radius: .3rem; overflow-wrap: anywhere }
footer { color: var(--soft); font-size: .82rem; border-top: 1px solid var(--line) } footer .in { padding-block: .8rem; overflow-wrap: anywhere }
iframe { width: 100%; height: 640px; border: 1px solid var(--line); border-radius: .7rem; background: var(--card) }
.frames { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem } @media (max-width: 900px) { .frames { grid-template-columns: 1fr } }
.chips { display: flex; gap: .4rem; flex-wrap: wrap; margin: .6rem 0 0 } .chips button { font-size: .84rem; padding: .2rem .65rem; border-radius: 1rem }
.attempt { border-top: 1px solid var(--line); padding: .9rem 0 } .attempt:first-child { border-top: 0; padding-top: 0 }
.attempt header { display: flex; gap: .6rem; align-items: center; flex-wrap: wrap; font-weight: 600 } .hero { background: #17202b; color: #fff; padding: 2rem 0 1.7rem }
.hero h1 { font-size: 1.9rem } .hero p { max-width: 46rem; opacity: .85; margin: .5rem 0 0 } .try li { margin-bottom: .45rem } .foreign td { background: var(--bad-bg) }
`
