"""Seeded days of a tiny town: residents, staff and helpers on the real services, with a simulated clock and transport.

One process, the real PostgreSQL, and the real code of the three services: their commands, queries and consumers, relay,
receipts, due loops, sealers and sending. Simulated are only what they cannot tell from the real thing: the time
(`clock`), what lies between relay and consumer (`transport`), providers of mail and SMS (`provider`), and death at any
fault point (`shared.faults`). A seed decides everything, so a seed is a history: the same one twice.

- `python -m tests.simulation --seed 1234` repeats a seed, `make simulate` tries new ones, `test_seeds.py` has the fixed
  ones. A report ends with the command that repeats it.
- **An action** is a function with `@action(weight)` in `residents`, `town_hall`, `closings`, `helpers` or `weather`. It
  gets the `World`, chooses with `world.rng` alone (never by an id, a key or the machine's clock), and returns what came
  of it in a few words, or None when there was nothing to do. It may die at the fault points in `dies_at`: it needs no
  word about that, but next time must go on from what its person knew, with the key of the order that has no answer.
  What it sees and must not be, it says with `world.expect`.
- **An invariant** is a function with `@invariant` in `invariants`, named as what it guards, whose SQL finds what breaks
  it. What needs a memory or a program beside SQL is in `remembered`. All are asked after every step (`check`).

Where things are: `driver` runs a seed, `house` is what seeds share, `world` what one seed has, `machines` the workers,
`overlap` two transactions at once, `rest` how a seed ends, `guards` which seed breaks when something is taken out.
"""
