"""The sheet (A4, 三つ折り, 長形3号の窓あき封筒) and its measures, in millimetres from the upper left.

Japan Post asks that the address stays whole in the window wherever the sheet slips to in its envelope
(定形郵便物・はがき作成のガイドライン, 5 窓付封筒), and so do we that nothing else is ever seen there. Both follow from
the measures of the envelope: a town that buys others changes those.
"""

A4_WIDTH, A4_HEIGHT = 210.0, 297.0
# In three, as it lies in the envelope.
PANEL_HEIGHT = A4_HEIGHT / 3
FOLDS = (PANEL_HEIGHT, 2 * PANEL_HEIGHT)

# JIS S 5502, 長形3号, used along.
ENVELOPE_WIDTH, ENVELOPE_HEIGHT = 235.0, 120.0
# A window for an address has at least 80 by 45 (郵便規則); those in stock have 90 by 45, so far from the edges.
WINDOW_LEFT, WINDOW_TOP, WINDOW_WIDTH, WINDOW_HEIGHT = 20.0, 12.0, 90.0, 45.0
# How far the folded sheet slips to the right, and down.
SLIP_X, SLIP_Y = ENVELOPE_WIDTH - A4_WIDTH, ENVELOPE_HEIGHT - PANEL_HEIGHT

# What of the sheet is in the window wherever it has slipped to: the address keeps within it.
ADDRESS_LEFT, ADDRESS_TOP = WINDOW_LEFT, WINDOW_TOP
ADDRESS_WIDTH, ADDRESS_HEIGHT = WINDOW_WIDTH - SLIP_X, WINDOW_HEIGHT - SLIP_Y
# What may come to be seen in it: nothing but the address is printed there.
SEEN_RIGHT, SEEN_BOTTOM = WINDOW_LEFT + WINDOW_WIDTH, WINDOW_TOP + WINDOW_HEIGHT

MARGIN, MARGIN_BOTTOM = 20.0, 22.0
TEXT_WIDTH = A4_WIDTH - 2 * MARGIN
# Right of the window: the day, and who writes.
SENDER_LEFT, SENDER_TOP = SEEN_RIGHT + 8.0, 14.0
TITLE_TOP = SEEN_BOTTOM + 13.0
TEXT_TOP, TEXT_TOP_OF_NEXT = TITLE_TOP + 12.0, 24.0
TEXT_BOTTOM = A4_HEIGHT - MARGIN_BOTTOM
FOLD_MARK_LEFT, FOLD_MARK_LENGTH = 3.0, 5.0
# Below who writes, right of the window: the code of the link that the text has.
QR_SIZE = 22.0
QR_LEFT, QR_TOP = A4_WIDTH - MARGIN - QR_SIZE, TITLE_TOP - QR_SIZE - 3.0
QR_WORDS_WIDTH = QR_LEFT - SENDER_LEFT - 3.0
PAGE_NUMBER_TOP = A4_HEIGHT - 12.0

# Points. Whoever is eighty reads a letter of twelve.
TEXT_SIZE, TITLE_SIZE, SENDER_SIZE, SMALL_SIZE = 12.0, 15.0, 10.5, 9.0
# An address is as large as its window lets it be.
ADDRESS_SIZES = (11.0, 10.0, 9.0, 8.0)
LINE_HEIGHT, ADDRESS_LINE_HEIGHT = 1.6, 1.3
MM_PER_POINT = 25.4 / 72
