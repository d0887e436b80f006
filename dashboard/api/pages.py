"""Pages without scripts: signing in, the API, and what is shown while the real page is not installed."""

from html import escape
from typing import Final

from dashboard.domain.durations import spoken_duration
from dashboard.records.snapshot import Now

_HEAD: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>{more}<link rel="stylesheet" href="/plain.css"></head>
"""

STYLE: Final = """\
:root { color-scheme: light dark; --back: #fbfbfa; --card: #fff; --text: #1c1d1f; --soft: #60646c; --line: #dcdee2;
  --accent: #1558b0; --ok: #17743b; --warning: #8a5300; --critical: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --back: #131416; --card: #1b1d20; --text: #e8e9eb; --soft: #a2a7b0;
  --line: #33363b; --accent: #8ab8ff; --ok: #7bd59a; --warning: #f2b85c; --critical: #ff8f85; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1rem 4rem; }
h1 { font-size: 1.4rem; line-height: 1.3; margin: 0 0 1rem; }
h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
p { margin: .5rem 0; }
a { color: var(--accent); }
code { font: .9em ui-monospace, monospace; }
table { width: 100%; border-collapse: collapse; background: var(--card); border: 1px solid var(--line);
  font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .4rem .6rem; border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere; }
th, .soft { color: var(--soft); font-weight: 500; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
meter { width: 100%; height: 1rem; }
form.card { max-width: 24rem; margin: 12vh auto 0; padding: 1.5rem; background: var(--card);
  border: 1px solid var(--line); border-radius: .5rem; }
label { display: block; margin-bottom: .3rem; }
input, button { width: 100%; padding: .6rem; font: inherit; border-radius: .3rem; border: 1px solid var(--line);
  background: var(--back); color: var(--text); }
button { margin-top: 1rem; background: var(--accent); border-color: var(--accent); color: var(--back);
  cursor: pointer; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.error, .critical { color: var(--critical); }
.warning { color: var(--warning); }
.ok { color: var(--ok); }
"""


def sign_in_page(next_path: str, error: str = "") -> str:
    shown = f'<p class="error" role="alert">{escape(error)}</p>' if error else ""
    return _page(
        "Sign in: zai-proxy",
        f"""<main><form class="card" method="post" action="/login">
<h1>zai-proxy dashboard</h1>{shown}
<label for="token">Token (DASHBOARD_TOKEN)</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<input type="hidden" name="next" value="{escape(next_path)}">
<button type="submit">Sign in</button>
</form></main>""",
    )


def plain_page(now: Now) -> str:
    """What goes on, as plain HTML that loads itself anew every five seconds."""
    health, workers = now.health, now.workers
    most = workers.limit if workers.limit is not None else workers.wall
    busy = workers.busy if workers.busy is not None else "?"
    alerts = "".join(
        f'<p class="{alert.severity}"><strong>{escape(alert.title)}</strong> {escape(alert.advice)}</p>'
        for alert in now.alerts
    )
    running = [
        [
            escape(each.path or ""),
            escape(each.model or ""),
            escape(each.client or ""),
            escape(each.lane or ""),
            spoken_duration(each.age),
            "" if each.silent is None else spoken_duration(each.silent),
        ]
        for each in now.running
    ]
    quota = [
        [
            escape(each.window.replace("_", " ")),
            f'<meter min="0" max="1" low="0.7" high="0.9" optimum="0" value="{each.used or 0:.3f}"></meter>',
            escape(each.text or ""),
        ]
        for each in now.quota
    ]
    notice = "" if now.notice is None else f"<p>{escape(now.notice)}</p>\n"
    targets = [[escape(each.name), f'<span class="{_class(each.state)}">{each.state}</span>'] for each in now.targets]
    body = f"""<main>
{notice}<h1 class="{health.level}">{escape(health.headline)}</h1>
{alerts}
<p class="soft">{busy} of {most if most is not None else "?"} places busy, {now.waiting_total} waiting;
{_figure(now.per_minute.requests)} requests and {_figure(now.per_minute.cost_usd)} USD a minute.</p>
<h2>Running</h2>
{_table(("Path", "Model", "Client", "Lane", "Age", "Silent for"), running, "Nothing runs at the moment.")}
<h2>Quota</h2>
{_table(("Window", "Used", ""), quota, "No figures.")}
<h2>Proxies</h2>
{_table(("Address", "State"), targets, "None is known yet.")}
<p class="soft">This is the plain page: the full one was not built into this installation
(<code>make setup</code> builds it). <a href="/api/docs">API</a></p>
</main>"""
    return _page("zai-proxy", body, '<meta http-equiv="refresh" content="5">')


def _page(title: str, body: str, more: str = "") -> str:
    return f"{_HEAD.format(title=escape(title), more=more)}<body>{body}</body></html>\n"


def _table(header: tuple[str, ...], rows: list[list[str]], empty: str) -> str:
    if not rows:
        return f'<p class="soft">{empty}</p>'
    head = "".join(f"<th>{name}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _figure(value: float | None) -> str:
    return "?" if value is None else f"{value:.3g}"


def _class(state: str) -> str:
    return {"up": "ok", "late": "warning", "stale": "critical"}.get(state, "soft")
