"""Seeded days of a tiny town: residents, staff and helpers on the real services, with a simulated clock and transport.

One process, the real PostgreSQL, and the real code of the three services: their commands, queries and consumers, relay,
receipts, due loops, sealers and sending. Simulated are only what they cannot tell from the real thing: the time
(`clock`), what lies between relay and consumer (`transport`), providers of mail and SMS (`provider`), and death at any
fault point (`shared.faults`). A seed decides everything, so a seed is a history: the same one twice.

- `python -m tests.simulation --seed 1234` repeats one, `make simulate` tries new ones, `test_seeds.py` has the fixed ones.
- **An action** is a function with `@action(weight)` in `residents`, `town_hall`, `helpers` or `machines`. It gets the
  `World`, chooses with `world.rng` alone (never by an id, a key or the machine's clock), and returns what came of it in
  a few words, or None when there was nothing to do. `world.guess` dies at fault points by itself: an action needs no
  word about crashes, but must go on from what it knows when its order died: it repeats the order with the same key.
- **An invariant** is a function with `@invariant` in `invariants`, named as what it guards, whose SQL finds what breaks
  it. It is asked after every step. What needs a memory or a program is in `remembered`.
"""
