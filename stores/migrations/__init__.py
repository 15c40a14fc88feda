"""The schema's history, one Alembic revision per module, oldest first.

A revision that was released never changes. Each is written out in full and imports nothing of
ours: it must go on meaning what it meant when `stores.tables` has moved on. The way back is a
backup.
"""
