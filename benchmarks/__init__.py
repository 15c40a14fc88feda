"""What the server costs, as a ratio to a plain pass-through in the same run. See `scripts/bench`.

Nothing in `responses_mw` or `stores` imports this. It talks to servers over HTTP, as users do, and
to stores as the server does.
"""
