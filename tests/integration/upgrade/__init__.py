"""An installation as version bf5483b left it: what it had in STATE_DIR, in the shared store and in the dashboard's
file.

It was run as people run it, `zai-proxy run` with the simulator, a Valkey and the dashboard, with two clients, two
models, three requests at once at the most and five-hour credits that ran out. `fixtures/seen.json` is what it said of
all that (`/status`, `/api/requests`, `/api/breakdown`, `/api/series`, `/api/now`) just before it was stopped.
"""
